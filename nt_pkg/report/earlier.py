"""What a finished report keeps of its study in summary.json, so that a later one can be compared.

The later report reads nothing else of the earlier one: results are overwritten by the next run of
the same study, the report's folder can be copied away. Questions are not kept one by one: those of
the paper's study would be some two million, and its scores already carry an error over questions.

This module is imported by every start of Snakemake and stays free of numpy.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nt_pkg.config.study import Study
from nt_pkg.files.json_files import digest, read_json

Record = Mapping[str, Any]

VERSION = 1  # of what `keep_record` returns
# Ids of a subset that are kept, to see how many of its rows are still there: the smallest ones.
# Ids are digests, so these are a random sample, the same rows of two subsets that share them; 512
# tell a share with a standard error of 2.2 points at most, and smaller subsets exactly.
KEPT_IDS = 512
_ID_DIGITS = 12
_RUN = ("student", "subset", "format", "seed")
_SUBSET = ("pool", "teacher", "subset", "seed", "size", "ids", "some_ids")
_SCORED = ("accuracy", "standard_error", "num_questions", "repeats", "mean_tokens")


def keep_record(
    scores: Sequence[Record],
    runs: Sequence[Record],
    subsets: Sequence[Record],
    pools: Sequence[Record],
    traces: Sequence[Record],
) -> dict[str, Any]:
    """Return version, scores, runs, subsets, pools and traces as summary.json keeps them.

    How a record was made (spec, sampling, prompts, versions of packages) stands under `made`, once
    for all that were made alike; the record holds its digest.
    """
    made: dict[str, Any] = {}

    def keep(record: Record, fields: Sequence[str], how: Mapping[str, Any]) -> dict[str, Any]:
        known = {key: value for key, value in how.items() if value is not None}
        key = digest(known)
        made[key] = known
        return {**{name: record.get(name) for name in fields}, "made": key}

    return {
        "version": VERSION,
        "scores": [
            keep(s, (*_RUN, "benchmark", "mode", *_SCORED), _describe_score(s)) for s in scores
        ],
        "runs": [
            keep(
                run,
                (*_RUN, "num_examples", "num_tokens", "final_loss"),
                {k: run.get(k) for k in ("spec", "examples", "versions")},
            )
            for run in runs
        ],
        "subsets": [keep(s, _SUBSET, {"spec": s.get("spec")}) for s in subsets],
        "pools": [keep(p, ("pool", "num_kept"), {"spec": p.get("spec")}) for p in pools],
        "traces": [keep(t, ("pool", "teacher", "num_rows", "mean_tokens"), {}) for t in traces],
        "made": made,
    }


def digest_ids(ids: Sequence[str]) -> dict[str, str]:
    """Return `ids`, a digest of which rows a subset has, and `some_ids`, a sample of them."""
    ordered = sorted(ids)
    some = " ".join(each[:_ID_DIGITS] for each in ordered[:KEPT_IDS])
    return {"ids": digest(ordered), "some_ids": some}


def check_earlier(study: Study) -> None:
    """Look at the earlier report of a study, if there is to be one.

    Raises:
        ValueError: it is not there, cannot be compared, or is the page itself.
    """
    if study.report.earlier is None:
        return
    folder, own = Path(study.report.earlier), Path("results/report") / study.study
    if folder.resolve() == own.resolve():
        raise ValueError(
            f"report.earlier: {folder} is where this study's own report is written: copy it "
            f"first (cp -r {own} {own}-before) and name the copy"
        )
    try:
        read_summary(folder, study.study)
    except ValueError as error:
        raise ValueError(f"report.earlier: {error}") from error


def read_summary(folder: Path, study: str | None = None) -> dict[str, Any]:
    """Return the summary of a finished report.

    Args:
        folder: folder of the report.
        study: name of the study that it has to be of, if that matters.

    Raises:
        ValueError: there is none, it is of another study, or it keeps too little to be compared.
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
            f"{folder} is a report of study {found['study']!r}, and this one is of {study!r}: only "
            "reports of the same study can be compared"
        )
    if found.get("version") != VERSION:
        has = f"has version {found['version']}" if "version" in found else "has no version"
        raise ValueError(
            f"{path} {has}, {VERSION} is needed: it was written by another state of the code and "
            "does not keep what a comparison needs; build that report again with this one, from "
            "its own results"
        )
    return found


def _describe_score(score: Record) -> dict[str, Any]:
    engine = dict(score.get("engine") or {})
    model = engine.pop("model", None)
    return {
        "grading": score.get("spec"),
        "sampling": score.get("sampling"),
        "prompts": score.get("prompt_digest"),
        "versions": score.get("versions"),
        "engine": engine or None,
        # The model of a trained student is what came out of its training.
        "model": model if score["subset"] == "none" else None,
    }
