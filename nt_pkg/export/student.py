"""The card of a trained student: what it learned from, its scores with errors, comparisons."""

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from nt_pkg.config.base import UNTRAINED
from nt_pkg.config.filters import expand_comparison
from nt_pkg.export.card import MADE_BY, OWN, UNKNOWN, WHOSE, Origin, make_table, render_origins
from nt_pkg.export.study import describe_choice, find_origins, find_source, name_path, say_module
from nt_pkg.files import layout
from nt_pkg.files.json_files import digest, read_fields
from nt_pkg.plan.study_plan import Plan
from nt_pkg.statistics.tests import average_seeds


def render_student(
    plan: Plan,
    names: Mapping[str, Any],
    configfiles: Sequence[Path],
    commit: str,
    directory: Path = Path(),
) -> str:
    """Return README.md of an exported student. Of benchmarks it has names and numbers, no text.

    Args:
        plan: the study.
        names: student, subset, format and seed of the run.
        configfiles: files of the study, for the card.
        commit: commit of this repository, for the card.
        directory: where the study runs, as its user names it.

    Raises:
        ValueError: the study has no such run, or it has not been trained and exported.
    """
    names = {**names, "seed": int(names["seed"])}
    if names["subset"] == UNTRAINED or names not in plan.sft():
        there = sorted({f"{r['student']}, {r['subset']}, {r['format']}" for r in plan.sft()})
        raise ValueError(f"the study trains no such student; it trains {'; '.join(there)}")
    run_file = layout.artifact(layout.TRAINING, **names)
    model_file = run_file.parent / "hf.json"
    for path in (run_file, model_file):
        if not path.exists():
            raise ValueError(f"{path} is not there: run the study first")
    run, model = read_fields(run_file), read_fields(model_file)
    entry = plan.study.subsets[names["subset"]]
    student = plan.study.students[names["student"]]
    source, license_ = find_source("students", names["student"], student.source)
    origins = [
        Origin("student", names["student"], "the untrained model", source, license_),
        *find_origins(plan, entry.pool, entry.teacher),
    ]
    config = shlex.join(map(name_path, configfiles))
    where = "" if directory == Path() else f" --directory {name_path(directory)}"
    told = {**names, "pool": entry.pool, "teacher": entry.teacher, "selector": entry.selector}
    if entry.params:
        told["its parameters"] = ", ".join(f"{name} {own}" for name, own in entry.params.items())
    told |= describe_choice(entry)
    parts = [
        f"---\n{yaml.safe_dump(_front(names, student.source.hub, origins), sort_keys=False)}---",
        f"# {names['student']}, trained on {names['subset']}",
        make_table(("", ""), {"study": plan.study.study, **told}.items()),
        f"## Training data\n\n{say_module('selectors', entry.selector)}\n\n{WHOSE}",
        f"## Training\n\n{make_table(('what', 'value'), _training(plan, names, run))}",
        f"## Scores\n\n{_scores(plan, names)}",
        f"## Comparisons\n\n{_comparisons(plan, names)}",
        f"## Sources and licences\n\n{render_origins(origins)}",
        "## Digests\n\n" + make_table(("file", "sha256"), model["files"].items()),
        f"{MADE_BY}\n\n```sh\n"
        f"git checkout {commit}\n"
        f"snakemake --profile profiles/local{where} --configfile {config} -- {model_file}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def _front(names: Mapping[str, Any], hub: str | None, origins: Sequence[Origin]) -> dict[str, Any]:
    known = sorted({each.license for each in origins} - {UNKNOWN, OWN})
    return {
        "license": known[0] if len(known) == 1 else known or UNKNOWN,
        **({"base_model": hub} if hub else {}),
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["reasoning", "distillation", names["subset"]],
    }


def _training(
    plan: Plan, names: Mapping[str, Any], run: Mapping[str, Any]
) -> list[tuple[str, object]]:
    student = plan.study.students[names["student"]]
    form = plan.study.formats[names["format"]]
    return [
        ("examples", f"{run['num_examples']:,}"),
        ("tokens", f"{run['num_tokens']:,}"),
        ("steps", f"{run['num_steps']:,}"),
        ("last loss", f"{run['final_loss']:.4f}"),
        ("format", f"{names['format']}: {form.kind}"),
        ("learning rate", student.training.learning_rate),
        ("spec of the training", digest(run["spec"])),
    ]


def _scores(plan: Plan, names: Mapping[str, Any]) -> str:
    same = [
        entry
        for entry in plan.sampled()
        if all(entry[key] == names[key] for key in ("student", "subset", "format"))
    ]
    found: dict[tuple[str, str], dict[int, dict[str, Any]]] = {}
    missing = 0
    for entry in same:
        path = layout.artifact(layout.SCORE, **entry)
        if path.exists():
            own = found.setdefault((entry["benchmark"], entry["mode"]), {})
            own[entry["seed"]] = read_fields(path)
        else:
            missing += 1
    if not found:
        return "None yet."
    rows = []
    for (benchmark, mode), by_seed in found.items():
        this = by_seed.get(names["seed"])
        mean, error = average_seeds([score["accuracy"] for score in by_seed.values()])
        tokens = [s["mean_tokens"] for s in by_seed.values() if s["mean_tokens"] is not None]
        rows.append(
            (
                benchmark,
                mode,
                _percent(this["accuracy"], this["standard_error"]) if this else "not there",
                _percent(mean, error),
                len(by_seed),
                next(iter(by_seed.values()))["num_questions"],
                f"{fmean(tokens):,.0f}" if tokens else "unknown",
            )
        )
    head = ("benchmark", "mode", "this model, %", "all seeds, %", "seeds", "questions", "tokens")
    lost = f" {missing} scores of the study are not there yet." if missing else ""
    return (
        f"{make_table(head, rows)}\n\nErrors: of this model over questions, of all seeds over "
        f"trainings.{lost}"
    )


def _comparisons(plan: Plan, names: Mapping[str, Any]) -> str:
    path = layout.artifact(layout.SUMMARY, study=plan.study.study)
    if not path.exists():
        return "The study has no report yet."
    about = {
        each.name
        for each in plan.study.report.comparisons
        if any(
            side.get("subset") == names["subset"]
            and side.get("student", names["student"]) == names["student"]
            and side.get("format", names["format"]) == names["format"]
            for side in expand_comparison(each)
        )
    }
    rows = [
        (
            effect["contrast"],
            effect["benchmark"],
            "none" if effect["difference"] is None else f"{100 * effect['difference']:+.1f}",
            _interval(effect["interval"]),
            effect["num_seeds"],
            effect["verdict"],
        )
        for effect in json.loads(path.read_text())["effects"]
        if effect["name"] in about
    ]
    if not rows:
        return "The study compares this student with no other."
    head = ("difference", "benchmark", "points", "95 % interval", "seeds", "verdict")
    return make_table(head, rows)


def _percent(value: float, error: float | None) -> str:
    return f"{100 * value:.1f}" + ("" if error is None else f" ± {100 * error:.1f}")


def _interval(interval: Sequence[float] | None) -> str:
    return "none" if interval is None else " to ".join(f"{100 * each:+.1f}" for each in interval)
