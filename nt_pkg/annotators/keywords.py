"""Labels found by words: "months", or ["decompose", "verify"].

Needs no model: the micro-world's domains and strategies are marked by words, and on real text it
gives a rough label. The label with the most hits wins where only one is asked for.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field, field_validator

from nt_pkg.annotators._base import Example, Label, TraceAnnotator
from nt_pkg.config.base import Strict


class KeywordsParams(Strict):
    """Words of each label, and how to search for them."""

    where: Literal["question", "reasoning"] = Field(description="Text that is searched.")
    multiple: bool = Field(False, description="Every label with a hit, or only the one with most.")
    ignore_case: bool = Field(True, description="Whether upper and lower case are the same.")
    labels: Mapping[str, tuple[str, ...]] = Field(description="Label -> words or phrases.")

    @field_validator("labels")
    @classmethod
    def _some(cls, value: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
        if not value or not all(words and all(map(str.strip, words)) for words in value.values()):
            raise ValueError("labels needs at least one label, and each label at least one word")
        return value


def annotate_keywords(params: KeywordsParams, examples: Sequence[Example]) -> list[Label]:
    """Return the label, or the sorted list of labels, of every example."""
    flags = re.IGNORECASE if params.ignore_case else re.NOFLAG
    patterns = {
        label: re.compile("|".join(_whole(word) for word in words), flags)
        for label, words in params.labels.items()
    }
    return [_label(params, patterns, example) for example in examples]


def _whole(word: str) -> str:
    """Return the pattern of a whole word; a sign such as "$" may touch letters and digits."""
    before = r"(?<!\w)" if re.match(r"\w", word) else ""
    after = r"(?!\w)" if re.search(r"\w\Z", word) else ""
    return f"{before}{re.escape(word)}{after}"


def _label(
    params: KeywordsParams, patterns: Mapping[str, re.Pattern[str]], example: Example
) -> Label:
    text = example.question if params.where == "question" else example.reasoning
    hits = {label: len(pattern.findall(text)) for label, pattern in patterns.items()}
    found = sorted(label for label, count in hits.items() if count)
    if params.multiple:
        return Label(found)
    return Label(max(found, key=lambda label: hits[label]) if found else "other")


ANNOTATOR = TraceAnnotator(params=KeywordsParams, annotate=annotate_keywords)
