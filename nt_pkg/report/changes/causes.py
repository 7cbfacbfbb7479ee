"""What two reports of a study made differently, and which changed scores this explains."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from nt_pkg.plan.spec_diff import describe_differences
from nt_pkg.report.changes.records import ChangedOrigin
from nt_pkg.report.records import RunName, Settings
from nt_pkg.report.summary import (
    KEPT_IDS,
    KeptPool,
    KeptRun,
    KeptScore,
    KeptSubset,
    KeptTraces,
    Summary,
)
from nt_pkg.report.wording import DASH, show_count, show_percent

# Parts of how a score or a run was made, and the words for a difference in them.
_SCORE_CAUSES = {
    "model": "another model",
    "answers": "other answers in the file",
    "prompts": "other prompts",
    "sampling": "other sampling",
    "engine": "another engine",
    "grading": "other grading",
    "versions": "other packages",
}
_RUN_CAUSES = {
    "spec": "other training",
    "examples": "other training",
    "versions": "other packages",
}
UNKNOWN = "nothing on record"
MIN_IDS = 100  # with fewer, a share has a standard error of more than five points


class Kept(Protocol):
    """A record of a summary, with how it was made."""

    @property
    def made(self) -> str:
        """Digest of how it was made."""


Each = TypeVar("Each")
AnyKept = TypeVar("AnyKept", bound=Kept)
Pair = tuple[Each, Each]  # before, now


class Sides:
    """Two summaries, with their runs and subsets by name."""

    def __init__(self, old: Summary, new: Summary) -> None:
        """Pair the records that both have."""
        self.old, self.new = old, new
        self.runs = pair_up(old.runs, new.runs, name_run)
        self.subsets = pair_up(old.subsets, new.subsets, name_draw)

    def made(self, pair: Pair[AnyKept]) -> Pair[Settings]:
        """Return how a record was made before and now."""
        old, now = pair
        return self.old.made[old.made], self.new.made[now.made]

    def parts_that_differ(self, pair: Pair[AnyKept]) -> set[str]:
        """Return the parts of how a record was made that differ."""
        old, now = self.made(pair)
        return {part for part in {*old, *now} if old.get(part) != now.get(part)}

    def differences(self, pair: Pair[AnyKept]) -> list[str]:
        """Return what differs in how a record was made, in words."""
        found = []
        for part in sorted(self.parts_that_differ(pair)):
            old, now = ({part: side.get(part)} for side in self.made(pair))
            missing = "none" if part == "versions" else "default"
            found += describe_differences(old, now, missing)
        return [text.removeprefix("spec.") for text in found]

    def is_asked_alike(self, pairs: Sequence[Pair[KeptScore]]) -> bool:
        """Return whether both sides of all scores got the same prompts."""
        return all("prompts" not in self.parts_that_differ(pair) for pair in pairs)


def pair_up(
    old: Sequence[Each], new: Sequence[Each], name: Callable[[Each], tuple[Any, ...]]
) -> Mapping[tuple[Any, ...], Pair[Each]]:
    """Return the records that both summaries have, by name."""
    before = {name(each): each for each in old}
    return {name(each): (before[name(each)], each) for each in new if name(each) in before}


def name_run(found: RunName) -> tuple[str, str, str, int]:
    """Return the name of a run, or of the run behind a score."""
    return found.student, found.subset, found.format, found.seed


def name_draw(found: KeptSubset) -> tuple[str, int]:
    """Return the name of a draw of a subset."""
    return found.subset, found.seed


def find_causes(sides: Sides, pairs: Sequence[Pair[KeptScore]]) -> list[str]:
    """Return what may explain that scores of a run group changed; data come before training."""
    found: dict[str, None] = {}
    for pair in pairs:
        run = sides.runs.get(name_run(pair[1]))
        subset = sides.subsets.get((pair[1].subset, pair[1].seed))
        has_other_rows = subset is not None and subset[0].ids != subset[1].ids
        if has_other_rows:
            found["other rows picked"] = None
        if run is not None:
            found.update(dict.fromkeys(_explain_run(sides, run, has_other_rows)))
        parts = sides.parts_that_differ(pair)
        found.update(dict.fromkeys(text for part, text in _SCORE_CAUSES.items() if part in parts))
    return list(found) or [UNKNOWN]


def _explain_run(sides: Sides, run: Pair[KeptRun], has_other_rows: bool) -> list[str]:
    parts = sides.parts_that_differ(run)
    found = [text for part, text in _RUN_CAUSES.items() if part in parts]
    if found or has_other_rows:
        return found
    old, now = run
    if (old.num_examples, old.num_tokens) != (now.num_examples, now.num_tokens):
        return ["other texts of the same rows"]
    return ["trained again, to another loss"] if old.final_loss != now.final_loss else []


def find_origins(sides: Sides) -> list[ChangedOrigin]:
    """Return what was made differently, by stage; mere consequences are left out.

    Subsets are listed by name; trainings and scores with the same differences are listed together.
    """
    old, new = sides.old, sides.new
    pools = pair_up(old.pools, new.pools, lambda pool: (pool.pool,))
    traces = pair_up(old.traces, new.traces, lambda each: (each.pool, each.teacher))
    scores = pair_up(
        old.scores, new.scores, lambda each: (*name_run(each), each.benchmark, each.mode)
    )
    return [
        *_compare_stage(sides, "prompts", pools, _say_pool),
        *_compare_stage(sides, "traces", traces, _say_traces),
        *_compare_subsets(sides),
        *_compare_groups(
            sides, "sft", list(sides.runs.values()), lambda run: f"{run.subset} / {run.format}"
        ),
        *_compare_groups(sides, "evals", list(scores.values()), lambda score: score.benchmark),
    ]


def _compare_stage(
    sides: Sides,
    stage: str,
    pairs: Mapping[tuple[Any, ...], Pair[AnyKept]],
    say: Callable[[Pair[AnyKept]], str],
) -> list[ChangedOrigin]:
    found = []
    for name, pair in pairs.items():
        differences, result = sides.differences(pair), say(pair)
        if differences or result:
            found.append(_origin(stage, " / ".join(name), 1, 1, differences, result))
    return found


def _say_pool(pair: Pair[KeptPool]) -> str:
    return _say_numbers(pair[0].num_kept, pair[1].num_kept, show_count, "prompts")


def _say_traces(pair: Pair[KeptTraces]) -> str:
    old, now = pair
    texts = (
        _say_numbers(old.num_rows, now.num_rows, show_count, "rows"),
        _say_numbers(old.mean_tokens, now.mean_tokens, _show_mean, "tokens"),
    )
    return ", ".join(filter(None, texts))


def _show_mean(tokens: float | None) -> str:
    return DASH if tokens is None else f"{tokens:,.5g}"


def _say_numbers(
    old: float | None, now: float | None, show: Callable[[float | None], str], noun: str
) -> str:
    return "" if old == now else f"{show(old)} -> {show(now)} {noun}"


def _compare_subsets(sides: Sides) -> list[ChangedOrigin]:
    members: dict[str, list[Pair[KeptSubset]]] = {}
    for pair in sides.subsets.values():
        members.setdefault(pair[1].subset, []).append(pair)
    found = []
    for name, pairs in members.items():
        differences = {text: None for pair in pairs for text in sides.differences(pair)}
        old, now = pairs[0]
        for field, before, after in (
            ("pool", old.pool, now.pool),
            ("teacher", old.teacher, now.teacher),
        ):
            if before != after:
                differences[f"{field}: {before} -> {after}"] = None
        moved = [pair for pair in pairs if pair[0].ids != pair[1].ids]
        if differences or moved:
            result = _say_kept(moved) if moved else "the same rows"
            found.append(
                _origin("subsets", name, len(moved), len(pairs), list(differences), result)
            )
    return found


def _say_kept(moved: Sequence[Pair[KeptSubset]]) -> str:
    shares = [share for old, now in moved if (share := share_kept(old, now)) is not None]
    if not shares:
        return "other rows"
    sizes = {(len(side.some_ids.split()), side.size) for pair in moved for side in pair}
    about = "" if all(kept == size for kept, size in sizes) else "about "
    return f"other rows; {about}{show_percent(sum(shares) / len(shares))} % were there before"


def share_kept(old: KeptSubset, now: KeptSubset) -> float | None:
    """Return the share of a subset's rows that were in it before, from samples of their ids.

    A sample holds the smallest ids, so both are complete up to the smaller of their largest ids.
    None if too few ids are below it, for example if a large subset became a small one.
    """
    some = [set(each.some_ids.split()) for each in (old, now)]
    cuts = [max(ids) for ids in some if len(ids) >= KEPT_IDS]
    before, after = ({i for i in ids if not cuts or i <= min(cuts)} for ids in some)
    if not after or (cuts and len(after) < MIN_IDS):
        return None
    return len(before & after) / len(after)


def _compare_groups(
    sides: Sides, stage: str, pairs: Sequence[Pair[AnyKept]], name: Callable[[AnyKept], str]
) -> list[ChangedOrigin]:
    groups: dict[tuple[str, ...], list[AnyKept]] = {}
    for pair in pairs:
        if differences := tuple(sides.differences(pair)):
            groups.setdefault(differences, []).append(pair[1])
    found = []
    for differences, members in groups.items():
        names = sorted({name(each) for each in members})
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        what = ", ".join(names[:3]) + more
        found.append(_origin(stage, what, len(members), len(pairs), differences, ""))
    return found


def _origin(
    stage: str, what: str, number: int, of: int, differences: Sequence[str], result: str
) -> ChangedOrigin:
    return ChangedOrigin(
        stage=stage,
        what=what,
        number=number,
        of=of,
        differences="; ".join(differences),
        result=result,
    )
