"""How things were made in two reports of a study: what differs, and which scores it explains."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from nt_pkg.plan.spec_diff import describe_differences
from nt_pkg.report.earlier import KEPT_IDS
from nt_pkg.report.tables import Row
from nt_pkg.report.wording import DASH, show_count, show_percent, show_plural

Record = Mapping[str, Any]
Pair = tuple[Record, Record]  # before, now

_RUN = ("student", "subset", "format", "seed")
_SUBSET = ("subset", "seed")
# Parts of how a score or a run was made, and what a reader calls it if they differ.
_SCORE_CAUSES = {
    "model": "another model",
    "prompts": "other prompts",
    "sampling": "answers drawn otherwise",
    "engine": "another engine",
    "grading": "graded otherwise",
    "versions": "other packages",
}
_RUN_CAUSES = {
    "spec": "trained otherwise",
    "examples": "trained otherwise",
    "versions": "other packages",
}
UNKNOWN = "nothing on record"
MIN_IDS = 100  # with fewer, a share has a standard error of more than five points


def index_records(
    records: Iterable[Record], fields: Sequence[str]
) -> dict[tuple[Any, ...], Record]:
    """Return records by the values of some fields."""
    return {tuple(record[field] for field in fields): record for record in records}


class Sides:
    """Two summaries, with their runs and subsets by name."""

    def __init__(self, old: Record, new: Record) -> None:
        """Index both."""
        self.old, self.new = old, new
        self._runs = [index_records(each["runs"], _RUN) for each in (old, new)]
        self._subsets = [index_records(each["subsets"], _SUBSET) for each in (old, new)]

    def made(self, pair: Pair) -> Pair:
        """Return how a record was made before and now."""
        old, now = pair
        return self.old["made"][old["made"]], self.new["made"][now["made"]]

    def parts_that_differ(self, pair: Pair) -> set[str]:
        """Return the parts of how a record was made that differ."""
        old, now = self.made(pair)
        return {part for part in {*old, *now} if old.get(part) != now.get(part)}

    def differences(self, pair: Pair) -> list[str]:
        """Return what differs in how a record was made, in words."""
        found = []
        for part in sorted(self.parts_that_differ(pair)):
            old, now = ({part: side.get(part)} for side in self.made(pair))
            missing = "none" if part == "versions" else "default"
            found += describe_differences(old, now, missing)
        return [text.removeprefix("spec.") for text in found]

    def is_asked_alike(self, pairs: Sequence[Pair]) -> bool:
        """Return whether both sides of all scores got the same prompts."""
        return all("prompts" not in self.parts_that_differ(pair) for pair in pairs)

    def run(self, score: Record) -> Pair | None:
        """Return the training behind a score, before and now."""
        return _both(self._runs, tuple(score[field] for field in _RUN))

    def subset(self, score: Record) -> Pair | None:
        """Return the subset behind a score, before and now."""
        return _both(self._subsets, tuple(score[field] for field in _SUBSET))

    def pairs(self, section: str, fields: Sequence[str]) -> list[Pair]:
        """Return the records of a section that both have."""
        old, new = (index_records(each[section], fields) for each in (self.old, self.new))
        return [(old[key], new[key]) for key in new if key in old]


def _both(indexed: Sequence[Mapping[tuple[Any, ...], Record]], key: tuple[Any, ...]) -> Pair | None:
    old, now = (each.get(key) for each in indexed)
    return (old, now) if old is not None and now is not None else None


def find_causes(sides: Sides, pairs: Sequence[Pair]) -> list[str]:
    """Return what may explain that scores of a run group changed, nearest to the data first."""
    found: dict[str, None] = {}
    for pair in pairs:
        run, subset = sides.run(pair[1]), sides.subset(pair[1])
        has_other_rows = subset is not None and subset[0]["ids"] != subset[1]["ids"]
        if has_other_rows:
            found["other rows picked"] = None
        if run is not None:
            found.update(dict.fromkeys(_explain_run(sides, run, has_other_rows)))
        parts = sides.parts_that_differ(pair)
        found.update(dict.fromkeys(text for part, text in _SCORE_CAUSES.items() if part in parts))
    return list(found) or [UNKNOWN]


def _explain_run(sides: Sides, run: Pair, has_other_rows: bool) -> list[str]:
    parts = sides.parts_that_differ(run)
    found = [text for part, text in _RUN_CAUSES.items() if part in parts]
    if found or has_other_rows:
        return found
    if any(run[0][field] != run[1][field] for field in ("num_examples", "num_tokens")):
        return ["other texts of the same rows"]
    return (
        ["trained again, to another loss"] if run[0]["final_loss"] != run[1]["final_loss"] else []
    )


def find_made(sides: Sides) -> list[Row]:
    """Return what was made otherwise, stage by stage; what only follows is left out.

    Subsets are listed by name, trainings and scores together where the same differs.
    """
    return [
        *_compare_stage(sides, "prompts", "pools", ("pool",), _say_pool),
        *_compare_stage(sides, "traces", "traces", ("pool", "teacher"), _say_traces),
        *_compare_subsets(sides),
        *_compare_groups(sides, "sft", "runs", _RUN, ("subset", "format")),
        *_compare_groups(sides, "evals", "scores", (*_RUN, "benchmark", "mode"), ("benchmark",)),
    ]


def _compare_stage(
    sides: Sides, stage: str, section: str, fields: Sequence[str], say: Callable[[Pair], str]
) -> list[Row]:
    rows: list[Row] = []
    for pair in sides.pairs(section, fields):
        differences, result = sides.differences(pair), say(pair)
        if differences or result:
            what = " / ".join(str(pair[1][field]) for field in fields)
            rows.append(_row(stage, what, 1, 1, differences, result))
    return rows


def _say_pool(pair: Pair) -> str:
    return _say_numbers(pair, "num_kept", "prompts")


def _say_traces(pair: Pair) -> str:
    texts = (_say_numbers(pair, "num_rows", "rows"), _say_numbers(pair, "mean_tokens", "tokens"))
    return ", ".join(filter(None, texts))


def _say_numbers(pair: Pair, field: str, noun: str) -> str:
    old, now = (side[field] for side in pair)
    if old == now:
        return ""
    shown = [DASH if each is None else f"{each:,.5g}" for each in (old, now)]
    if field != "mean_tokens":
        shown = [show_count(each) for each in (old, now)]
    return f"{shown[0]} -> {shown[1]} {noun}"


def _compare_subsets(sides: Sides) -> list[Row]:
    members: dict[str, list[Pair]] = {}
    for pair in sides.pairs("subsets", _SUBSET):
        members.setdefault(pair[1]["subset"], []).append(pair)
    rows: list[Row] = []
    for name, pairs in members.items():
        differences = {text: None for pair in pairs for text in sides.differences(pair)}
        for field in ("pool", "teacher"):
            names = [side[field] for side in pairs[0]]
            if names[0] != names[1]:
                differences[f"{field}: {names[0]} -> {names[1]}"] = None
        moved = [pair for pair in pairs if pair[0]["ids"] != pair[1]["ids"]]
        if differences or moved:
            result = _say_kept(moved) if moved else "the same rows"
            rows.append(_row("subsets", name, len(moved), len(pairs), list(differences), result))
    return rows


def _say_kept(moved: Sequence[Pair]) -> str:
    shares = [share for old, now in moved if (share := share_kept(old, now)) is not None]
    if not shares:
        return "other rows"
    sizes = {(len(side["some_ids"].split()), side["size"]) for pair in moved for side in pair}
    about = "" if all(kept == size for kept, size in sizes) else "about "
    return f"other rows; {about}{show_percent(sum(shares) / len(shares))} % were there before"


def share_kept(old: Record, now: Record) -> float | None:
    """Return the share of a subset's rows that were in it before, from samples of their ids.

    A sample holds the smallest ids, so both are complete up to the smaller of their largest ids.
    None if too few ids lie below it to tell, as where a large subset became a small one.
    """
    some = [set(each["some_ids"].split()) for each in (old, now)]
    cuts = [max(ids) for ids in some if len(ids) >= KEPT_IDS]
    before, after = ({i for i in ids if not cuts or i <= min(cuts)} for ids in some)
    if not after or (cuts and len(after) < MIN_IDS):
        return None
    return len(before & after) / len(after)


def _compare_groups(
    sides: Sides, stage: str, section: str, fields: Sequence[str], named_by: Sequence[str]
) -> list[Row]:
    pairs = sides.pairs(section, fields)
    groups: dict[tuple[str, ...], list[Record]] = {}
    for pair in pairs:
        if differences := tuple(sides.differences(pair)):
            groups.setdefault(differences, []).append(pair[1])
    rows: list[Row] = []
    for differences, members in groups.items():
        names = sorted({" / ".join(str(each[field]) for field in named_by) for each in members})
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        what = ", ".join(names[:3]) + more
        rows.append(_row(stage, what, len(members), len(pairs), differences, ""))
    return rows


def _row(
    stage: str, what: str, number: int, of: int, differences: Sequence[str], result: str
) -> dict[str, Any]:
    return {
        **{"stage": stage, "what": what, "number": number, "of": of},
        **{"differences": "; ".join(differences), "result": result},
    }


def say_number(row: Row) -> str:
    """Return how many of a stage's records a row is about."""
    noun = {"subsets": "draw", "sft": "run", "evals": "score"}.get(row["stage"])
    return f"{row['number']:,} of {show_plural(row['of'], noun)}" if noun else ""
