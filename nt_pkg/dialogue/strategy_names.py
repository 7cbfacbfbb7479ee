"""One name for the many spellings of a reasoning strategy.

The paper has a model list the strategies of each trace freely and does not say whether names were
merged. Unmerged, "Verification", "self-verification" and "verifying" are three strategies, and a
trace with all of them looks diverse.

Merging happens where names are counted and not where they are given, so that an edit of the list
below asks no model again.
"""

import re
from functools import lru_cache

from nt_pkg.identity.caseless import caseless

# One name, and what else stands for it. Ours: the paper has no such list. Names are compared by
# their words' base forms, so plurals, -ing forms, hyphens and fillers need no entry.
SYNONYMS: dict[str, tuple[str, ...]] = {
    "analogy": ("analogical", "analogize", "analogical reasoning", "reason by analogy"),
    "backtrack": ("backtrack and revise", "retrace step", "revisit earlier step"),
    "calculate": ("calculation", "compute", "computation", "arithmetic", "numerical calculation"),
    "cases": ("case", "case analysis", "casework", "case by case", "case by case analysis",
              "proof by case", "case distinction"),
    "clarify": ("clarification", "clarify question", "interpret question", "problem clarification",
                "interpret problem", "problem interpretation", "problem understanding",
                "understand problem"),
    "compare": ("comparison", "comparative analysis", "compare and contrast", "compare option"),
    "contradiction": ("proof by contradiction", "reductio ad absurdum", "contradict"),
    "decompose": ("decomposition", "problem decomposition", "decompose problem", "break down",
                  "break down problem", "break problem down", "divide and conquer", "subgoal set",
                  "subgoal", "subproblem", "task decomposition"),
    "define": ("definition", "definition recall", "clarify definition", "define term"),
    "eliminate": ("elimination", "eliminate option", "rule out", "rule out option"),
    "enumerate": ("enumeration", "exhaustive search", "list option", "list possibility"),
    "estimate": ("estimation", "approximate", "approximation", "order of magnitude estimate"),
    "evaluate": ("evaluation", "assess", "assessment"),
    "example": ("concrete example", "work example", "worked example", "test example", "try example",
                "example generation", "specific example", "example based reasoning"),
    "explore": ("exploration", "explore alternative", "consider alternative",
                "alternative exploration", "alternative consideration", "explore possibility",
                "alternative"),
    "generalize": ("generalization", "abstraction", "abstract"),
    "hypothesize": ("hypothesis", "hypothesis generation", "hypothesis formation",
                    "generate hypothesis", "conjecture"),
    "pattern": ("pattern recognition", "recognize pattern", "identify pattern", "find pattern"),
    "plan": ("plan ahead", "strategic plan", "solution plan"),
    "recall": ("recall knowledge", "knowledge recall", "prior knowledge", "knowledge retrieval",
               "retrieve knowledge", "recall fact", "fact recall", "background knowledge"),
    "reflect": ("reflection", "self reflect", "self reflection", "metacognition",
                "metacognitive reflection"),
    "restate": ("restatement", "restate problem", "problem restatement", "rephrase", "paraphrase",
                "rephrase problem", "reformulate", "reformulation", "problem reformulation"),
    "self correct": ("self correction", "correction", "correct error", "error correction",
                     "correct mistake", "error detection", "detect error", "revise", "revision"),
    "simplify": ("simplification", "simplify problem", "problem simplification", "reduce"),
    "summarize": ("summary", "summarization", "recap", "synthesize", "synthesis"),
    "verify": ("verification", "self verify", "self verification", "check", "double check",
               "self check", "cross check", "sanity check", "check work", "check answer",
               "answer verification", "check result", "result verification", "validate",
               "validation", "self validation", "confirm", "confirmation", "verify answer",
               "verify result", "verify solution", "cross verification"),
    "visualize": ("visualization", "mental visualization", "draw diagram", "diagram", "sketch"),
    "work backward": ("backward reasoning", "backward chain", "backward work", "reverse reasoning",
                      "reason backward"),
}  # fmt: skip

_FILLERS = frozenset(
    ["a", "an", "the", "of", "its", "use", "using", "via", "through", "strategy", "technique",
     "approach", "method", "process", "different", "various", "multiple", "possible"]
)  # fmt: skip
MAX_WORD_CHARS = 40  # longer ones are none, and each ending costs a pass
_IRREGULAR = {"hypotheses": "hypothesis", "analyses": "analysis", "series": "series"}
_ASIDE = re.compile(r"(?<=\w)\s*[(\[{:;].*|^\s*\d+[.)]\s*", re.DOTALL)
_WORDS = re.compile(r"\w+")
# Stems that lost an "e" before "-ing": estimat(e), visualiz(e), decompos(e), combin(e), solv(e).
_LOST_E = re.compile(
    r"(?:at|ut|iz|yz|os|as|iv|ov|lv|rv|rs|uc|ur|ul|fin|bin|min|gin|plor|par|ang|ag|dg)$"
)
_HAD_NONE = re.compile(r"eat$")  # repeating


@lru_cache(maxsize=100_000)
def normalise_strategy(name: str) -> str:
    """Return the name under which a strategy is counted: lower case, base forms, no synonyms.

    What follows a colon, a semicolon or an opening bracket explains the name and is left out. A
    name without letters or digits becomes "". Normalising twice changes nothing.
    """
    words = _base_words(_ASIDE.sub("", caseless(name)))
    return _BY_NAME.get("".join(words), " ".join(words))


def _base_words(text: str) -> list[str]:
    words = [_base(word) for word in _WORDS.findall(text.replace("_", " "))]
    return [word for word in words if word not in _FILLERS] or words


def _base(word: str) -> str:
    """Return a word without plural and -ing, spelled -ize; words of three letters stay."""
    if len(word) > MAX_WORD_CHARS:
        return word
    while (shorter := _IRREGULAR.get(word) or _without_ing(_singular(word))) != word:
        word = shorter
    return re.sub(r"(?<=[a-z]{3})is(?=e$|ation$)", "iz", word)


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    if len(word) > 4 and re.search(r"(?:ss|x|ch|sh)es$", word):
        return word[:-2]
    return word[:-1] if len(word) > 3 and re.search(r"[^sui]s$", word) else word


def _without_ing(word: str) -> str:
    stem = word[:-3]
    if not word.endswith("ing") or len(stem) < 3 or not re.search(r"[aeiouy]", stem):
        return word
    if re.search(r"([^aeiouyls])\1$", stem):
        return stem[:-1]  # planning
    if re.search(r"[a-z]{3}[iy]s$", stem):  # generalising, analysing
        return f"{stem[:-1]}ze"
    return f"{stem}e" if _LOST_E.search(stem) and not _HAD_NONE.search(stem) else stem


# Without blanks, so that "back-tracking" is "backtracking".
_BY_NAME = {
    "".join(_base_words(other)): name
    for name, others in SYNONYMS.items()
    for other in (name, *others)
}
