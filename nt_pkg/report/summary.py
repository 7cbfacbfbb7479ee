"""What a finished report keeps of its study in summary.json, for comparison with a later one.

The later report reads nothing else of the earlier one: the next run of the same study overwrites
the results, but the report's folder can be copied. Questions are not kept one by one: those of
the paper's study would be some two million, and scores already have an error over questions.

Every start of Snakemake imports this module, so it must not import numpy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nt_pkg.config.base import UNTRAINED
from nt_pkg.config.study import Study
from nt_pkg.files import layout
from nt_pkg.files.json_files import digest, read_fields, read_json
from nt_pkg.report.records import (
    Effect,
    Inputs,
    Judged,
    RuleRun,
    RunName,
    Score,
    Settings,
    Truth,
    read_record,
)

VERSION = 2  # raise it when the meaning of a `Summary` changes
# The smallest ids of a subset are kept, to estimate how many of its rows are still there.
# Ids are digests, so these are a random sample, and the same rows if two subsets share them; 512
# give a share with a standard error of 2.2 points at most; smaller subsets are exact.
KEPT_IDS = 512
_ID_DIGITS = 12


@dataclass(frozen=True, kw_only=True)
class KeptScore(RunName):
    """What is kept of a score; `made`, here and below, is the digest of how it was made."""

    benchmark: str
    mode: str
    accuracy: float
    standard_error: float | None
    num_questions: int
    repeats: int
    mean_tokens: float | None
    made: str


@dataclass(frozen=True, kw_only=True)
class KeptRun(RunName):
    """What is kept of a training."""

    num_examples: int
    num_tokens: int
    final_loss: float
    made: str


@dataclass(frozen=True, kw_only=True)
class KeptSubset:
    """What is kept of a draw of a subset."""

    pool: str
    teacher: str
    subset: str
    seed: int
    size: int
    ids: str
    some_ids: str
    made: str


@dataclass(frozen=True, kw_only=True)
class KeptPool:
    """What is kept of a pool."""

    pool: str
    num_kept: int
    made: str


@dataclass(frozen=True, kw_only=True)
class KeptTraces:
    """What is kept of the traces of a teacher over a pool."""

    pool: str
    teacher: str
    num_rows: int
    mean_tokens: float | None
    made: str


@dataclass(frozen=True, kw_only=True)
class KeptClaim:
    """What is kept of a claim; `parts` are names of comparisons."""

    name: str
    text: str
    verdict: str
    parts: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What summary.json holds.

    made: how scores, runs and so on were made (spec, sampling, prompts, versions of packages) by
    its digest, each stored once.
    """

    study: str
    version: int = VERSION
    headline: Sequence[str] = ()
    effects: Sequence[Effect] = ()
    claims: Sequence[KeptClaim] = ()
    truth: Sequence[Judged] = ()
    scores: Sequence[KeptScore] = ()
    runs: Sequence[KeptRun] = ()
    subsets: Sequence[KeptSubset] = ()
    pools: Sequence[KeptPool] = ()
    traces: Sequence[KeptTraces] = ()
    made: Mapping[str, Settings] = field(default_factory=dict)
    seconds_per_stage: Mapping[str, float] = field(default_factory=dict)
    rules: Sequence[RuleRun] = ()


def summarise(
    inputs: Inputs,
    effects: Sequence[Effect] = (),
    claims: Sequence[KeptClaim] = (),
    truth: Sequence[Judged] = (),
) -> Summary:
    """Return the summary of a report, without its headline."""
    made: dict[str, Settings] = {}

    def keep(**how: object) -> str:
        known = {key: value for key, value in how.items() if value is not None}
        key = digest(known)
        made[key] = known
        return key

    return Summary(
        study=inputs.study.name,
        effects=effects,
        claims=claims,
        truth=truth,
        scores=[
            KeptScore(
                student=score.student,
                subset=score.subset,
                format=score.format,
                seed=score.seed,
                benchmark=score.benchmark,
                mode=score.mode,
                accuracy=score.accuracy,
                standard_error=score.standard_error,
                num_questions=score.num_questions,
                repeats=score.repeats,
                mean_tokens=score.mean_tokens,
                made=keep(**_describe_score(score)),
            )
            for score in inputs.scores
        ],
        runs=[
            KeptRun(
                student=run.student,
                subset=run.subset,
                format=run.format,
                seed=run.seed,
                num_examples=run.num_examples,
                num_tokens=run.num_tokens,
                final_loss=run.final_loss,
                made=keep(spec=run.spec, examples=run.examples, versions=run.versions),
            )
            for run in inputs.runs
        ],
        subsets=[
            KeptSubset(
                pool=subset.pool,
                teacher=subset.teacher,
                subset=subset.subset,
                seed=subset.seed,
                size=subset.size,
                ids=subset.ids,
                some_ids=subset.some_ids,
                made=keep(spec=subset.spec),
            )
            for subset in inputs.subsets
        ],
        pools=[
            KeptPool(pool=pool.pool, num_kept=pool.num_kept, made=keep(spec=pool.spec))
            for pool in inputs.pools
        ],
        traces=[
            KeptTraces(
                pool=each.pool,
                teacher=each.teacher,
                num_rows=each.num_rows,
                mean_tokens=each.mean_tokens,
                made=keep(),
            )
            for each in inputs.traces
        ],
        made=made,
        seconds_per_stage=inputs.timings.seconds_per_stage,
        rules=inputs.timings.rules,
    )


def digest_ids(ids: Sequence[str]) -> dict[str, str]:
    """Return `ids`, a digest of which rows a subset has, and `some_ids`, a sample of them."""
    ordered = sorted(ids)
    some = " ".join(each[:_ID_DIGITS] for each in ordered[:KEPT_IDS])
    return {"ids": digest(ordered), "some_ids": some}


def check_earlier(study: Study) -> None:
    """Check the earlier report of a study, if one is named.

    Raises:
        ValueError: it does not exist, cannot be compared, or is the page itself.
    """
    if study.report.earlier is None:
        return
    folder, own = (
        Path(study.report.earlier),
        layout.artifact(layout.REPORT, study=study.study).parent,
    )
    if folder.resolve() == own.resolve():
        raise ValueError(
            f"report.earlier: {folder} is where this study's own report is written: copy it "
            f"first (cp -r {own} {own}-before) and name the copy"
        )
    try:
        read_summary(folder, study.study)
    except ValueError as error:
        raise ValueError(f"report.earlier: {error}") from error


def read_truth(path: Path) -> Truth:
    """Return a file of true differences.

    Raises:
        ValueError: it is not one.
    """
    return read_record(Truth, read_fields(path), path)


def read_summary(folder: Path, study: str | None = None) -> Summary:
    """Return the summary of a finished report.

    Args:
        folder: folder of the report.
        study: name of the study that it must belong to, if that matters.

    Raises:
        ValueError: there is none, it belongs to another study, or it keeps too little to compare.
    """
    path = folder / "summary.json"
    if not path.is_file():
        raise ValueError(
            f"{path} does not exist (seen from {Path.cwd()}): give the folder of a finished report"
        )
    found = read_json(path)
    if not isinstance(found, dict) or "study" not in found:
        raise ValueError(f"{path} is not the summary of a report: give the folder of a report")
    if study is not None and found["study"] != study:
        raise ValueError(
            f"{folder} is a report of study {found['study']!r}, but this study is {study!r}: only "
            "reports of the same study can be compared"
        )
    if found.get("version") != VERSION:
        has = f"has version {found['version']}" if "version" in found else "has no version"
        raise ValueError(
            f"{path} {has}, but {VERSION} is needed: another version of the code wrote it, and it "
            "lacks what a comparison needs; rebuild that report with this version, from "
            "its own results"
        )
    return read_record(Summary, found, path)


def _describe_score(score: Score) -> Settings:
    engine = dict(score.engine)
    model, answers = engine.pop("model", None), engine.pop("answers", None)
    return {
        "grading": score.spec,
        "sampling": score.sampling,
        "prompts": score.prompt_digest,
        "versions": score.versions,
        "engine": engine or None,
        "answers": answers,  # the file of those from elsewhere
        # The model of a trained student is the result of its training.
        "model": model if score.subset == UNTRAINED else None,
    }
