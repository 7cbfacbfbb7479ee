"""Training data: the examples of a subset in a format, rendered with the student's template."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from nt_pkg.config.students import Format, Training
from nt_pkg.dialogue.formats import target_kind, training_pair
from nt_pkg.dialogue.rendering import render
from nt_pkg.files.json_files import read_fields, read_json, write_json
from nt_pkg.files.schemas import Row
from nt_pkg.identity.seeds import rng
from nt_pkg.jobs.model_folder import loading
from nt_pkg.jobs.progress import Progress
from nt_pkg.sft.examples import Examples, join_examples, write_examples
from nt_pkg.sft.selected import Selected

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_TOGETHER = 64  # examples that are tokenised together
_PART = 8192  # examples that are made again after a kill: some 37 million tokens


def build_examples(
    tokenizer_dir: Path,
    form: Format,
    training: Training,
    seed: int,
    ids: pa.Array,
    select: Callable[[pa.Array], Iterable[Selected]],
    work: Path,
    out: Path,
) -> dict[str, Any]:
    """Write the tokenised examples of a subset in a format, and return their counts.

    Responses over the limit are left out and counted, never cut. Memory holds a batch of rows, so
    that a subset of any size fits. A call that was killed goes on at the part that it was writing.

    Args:
        tokenizer_dir: folder of the student.
        form: the distillation format.
        training: the limits.
        seed: seed of the run, for random mixes.
        ids: the ids of the subset, ascending, none twice.
        select: returns the rows of some of these ids, in their order.
        work: folder for finished parts, of the same arguments only.
        out: the file of examples.

    Raises:
        ValueError: no example is left, the chat template cannot be used (see `render`), or a token
            has no row in the student's embedding.
    """
    from transformers import AutoConfig, AutoTokenizer

    with loading(tokenizer_dir):
        num_embedded = _num_embedded(tokenizer_dir)
        if (tokenizer_dir / "config.json").exists():  # a training would end with this error
            AutoConfig.from_pretrained(tokenizer_dir, trust_remote_code=False)
        tokenizer = AutoTokenizer.from_pretrained(tokenizer_dir, trust_remote_code=False)
    parts = {work / f"{at:09}.arrow": ids[at : at + _PART] for at in range(0, len(ids), _PART)}
    notes = {part: part.with_suffix(".json") for part in parts}
    done = sum(len(some) for part, some in parts.items() if notes[part].exists())
    progress = Progress("examples", len(ids), done)
    for part, some in parts.items():
        if not notes[part].exists():
            left_out: Counter[str] = Counter()
            rows = _embedded(_rows(tokenizer, form, seed, select(some), progress), num_embedded)
            write_examples(part, _within(rows, training, left_out))
            write_json(notes[part], left_out)
    dropped = sum((Counter(read_json(note)) for note in notes.values()), Counter[str]())
    if sum(dropped.values()) == len(ids):
        raise ValueError(
            f"all {len(ids)} examples were left out: {dict(dropped)}; raise the limits"
        )
    join_examples(out, parts)
    counts = _counts(tokenizer, Examples(out), seed)
    return {**counts, "dropped": dict(sorted(dropped.items()))}


def _rows(
    tokenizer: "PreTrainedTokenizerBase",
    form: Format,
    seed: int,
    selected: Iterable[Selected],
    progress: Progress,
) -> Iterator[Row]:
    """Yield rows of the schema EXAMPLES, whatever their length."""
    rest = iter(selected)
    while some := list(islice(rest, _TOGETHER)):
        targets = [target_kind(form.kind, form.p, seed, row.id, row.disagree) for row in some]
        pairs = [
            training_pair(row.question, row.reasoning, row.answer, target, form.think_words)
            for row, target in zip(some, targets, strict=True)
        ]
        rendered = render(tokenizer, pairs)
        for row, target, (ids, num_prompt) in zip(some, targets, rendered, strict=True):
            yield {
                "id": row.id,
                "target": target,
                "input_ids": ids,
                "num_prompt_tokens": num_prompt,
            }
        progress.add(len(some), tokens=sum(len(ids) for ids, _ in rendered))


def _num_embedded(folder: Path) -> float:
    path = folder / "config.json"
    found: float | None = read_fields(path).get("vocab_size") if path.exists() else None
    return found or float("inf")


def _embedded(rows: Iterable[Row], num_embedded: float) -> Iterator[Row]:
    """Yield the rows as they are.

    Raises:
        ValueError: a token has no row in the embedding; a training would end in an index error, or
            read what is not there on a GPU.
    """
    for row in rows:
        largest = max(row["input_ids"])
        if largest >= num_embedded:
            raise ValueError(
                f"row {row['id']} has token {largest}, and the student's embedding has "
                f"{num_embedded} rows (vocab_size in its config.json): its tokenizer is larger. "
                "Use the tokenizer that the model was released with, or a model whose embedding "
                "was enlarged"
            )
        yield row


def _within(rows: Iterable[Row], training: Training, dropped: Counter[str]) -> Iterator[Row]:
    """Yield the rows within the limits, and count the others in `dropped`."""
    for row in rows:
        num_tokens = len(row["input_ids"])
        if num_tokens - row["num_prompt_tokens"] > training.max_response_tokens:
            dropped[f"response over {training.max_response_tokens} tokens"] += 1
        elif num_tokens > training.max_example_tokens:
            dropped[f"example over {training.max_example_tokens} tokens"] += 1
        else:
            yield row


def _counts(tokenizer: "PreTrainedTokenizerBase", examples: Examples, seed: int) -> dict[str, Any]:
    shown = rng("preview", seed).choice(range(len(examples)))
    ids, cut = examples.ids(shown), examples.num_prompt_tokens[shown]
    return {
        "num_examples": len(examples),
        "num_system2": len(examples.numbers_of("system2")),
        "num_tokens": int(examples.lengths.sum()),
        "num_response_tokens": int(examples.loss_lengths.sum()),
        "longest_tokens": int(examples.lengths.max()),
        # Shows a reader what one example looks like and where its loss begins.
        "preview": {
            "no_loss": tokenizer.decode(ids[:cut]),
            "loss": tokenizer.decode(ids[cut:]),
        },
    }
