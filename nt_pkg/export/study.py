"""A subset of a study, with everything that its card says, from the artifacts of the study."""

import inspect
import json
import shlex
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from nt_pkg.config.sources import Source
from nt_pkg.config.study import Subset
from nt_pkg.engines._base import Model, request_key
from nt_pkg.engines._start import engine_identity, engine_kind
from nt_pkg.export.card import OWN, UNKNOWN, Card, Origin, render
from nt_pkg.export.rows import Shape, export_rows, write_data_files
from nt_pkg.files import layout
from nt_pkg.files.json_files import digest, read_json, sha256_file
from nt_pkg.files.parquet import read_table
from nt_pkg.files.schemas import SUBSET, Row
from nt_pkg.plan.study_plan import Plan
from nt_pkg.plugins.registry import plugin
from nt_pkg.traces.generate import trace_request

_GENERATED = "apache-2.0"  # of this repository: pools that it generates, and what ships with it
_COLUMNS = {
    "messages": "the question as the user's turn, the trace as the assistant's, with `<think>` "
    "around its reasoning",
    "prompt": "the question, as a list of one turn",
    "completion": "the trace, as a list of one turn, with `<think>` around its reasoning",
    "question": "the question",
    "reasoning": "the reasoning of the trace",
    "answer": "the answer of the trace",
    "id": "digest of the normalised question; further answers to it differ in the last 8 digits",
    "rank": "place in the selector's order, from 0; the first n are its subset of size n",
    "score": "why the row was picked, in the selector's own terms",
    "reference_answer": "the known answer, null if there is none",
    "source_row": "row of the source, from 0, over all files in the order of their names",
    "pool": "name of the pool",
    "teacher": "name of the teacher",
    "selector": "name of the selector",
    "request": "digest of the exact request to the teacher",
    "annotations": "labels of the annotators, null where one failed",
}


@dataclass(frozen=True)
class Wanted:
    """What to export.

    Attributes:
        subset: name of the subset.
        seed: seed of its selection.
        shape: how question and trace are written.
        split: name of the split.
        out: folder to write.
        configfiles: files of the study, for the card.
        commit: commit of this repository, for the card.
        here: where a relative `out` starts.
        directory: where the study runs, as its user names it.
    """

    subset: str
    seed: int
    shape: Shape
    split: str
    out: Path
    configfiles: Sequence[Path]
    commit: str
    here: Path = Path()
    directory: Path = Path()


def export_subset(plan: Plan, wanted: Wanted) -> int:
    """Write a subset as a data set with a card; return how many rows it has.

    The folder appears when it is complete.

    Raises:
        ValueError: the pool is confidential; the subset has not been selected, or by another study
            or code; the folder is there already; or a file cannot be read. The message says what
            to do.
    """
    plan.study.require("subsets", wanted.subset, "--subset")
    pool = plan.study.subsets[wanted.subset].pool
    if plan.study.pools[pool].confidential:
        raise ValueError(
            f"pool {pool} is confidential (`confidential: true` in its entry of the catalogue), so "
            "its rows are not exported"
        )
    out = wanted.here / wanted.out
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{wanted.out} is there already: give --out another name")
    names = plan.subset_wildcards(wanted.subset, wanted.seed)
    manifest = _selection(plan, names)
    new = out.with_name(f".{out.name}.incomplete")
    shutil.rmtree(new, ignore_errors=True)
    num = _write_rows(plan, wanted, names, new)
    card = render(_card(plan, wanted, names, manifest, num, new))
    (new / "README.md").write_text(card, encoding="utf-8")
    if out.exists():
        out.rmdir()
    new.rename(out)
    return num


def _write_rows(plan: Plan, wanted: Wanted, names: dict[str, Any], folder: Path) -> int:
    entry = plan.study.subsets[wanted.subset]
    subset = read_table(layout.artifact(layout.SUBSET, **names), SUBSET)
    shards = [{**names, **shard} for shard in plan.shards(entry.pool)]
    labels = {}
    for name in plan.annotators(entry.pool, entry.teacher):
        is_of_questions = plan.is_of_questions(name)
        pattern = layout.QUESTION_LABELS if is_of_questions else layout.LABELS
        own = plan.label_shards(entry.pool, name, None if is_of_questions else entry.teacher)
        paths = [layout.artifact(pattern, **shard) for shard in own]
        if all(path.exists() for path in paths):
            labels[name] = paths
    tables = export_rows(
        subset,
        layout.artifact(layout.PROMPTS, **names),
        [layout.artifact(layout.TRACES, **shard) for shard in shards],
        labels,
        wanted.shape,
        {"pool": entry.pool, "teacher": entry.teacher, "selector": entry.selector},
        _requests(plan, entry.teacher),
    )
    write_data_files(folder, wanted.split, len(subset), tables)
    return len(subset)


def _selection(plan: Plan, names: dict[str, Any]) -> dict[str, Any]:
    """Return the manifest of the selection, if it is that of the study as it is now."""
    path = layout.artifact(layout.SUBSET_MANIFEST, **names)
    again = f"run the study's target `subsets` first (wanted: {path}, in {Path.cwd()})"
    if not path.exists():
        asked = [each["seed"] for each in plan.subsets() if each["subset"] == names["subset"]]
        if not asked:
            raise ValueError(
                f"nothing in the study selects {names['subset']}: add it to `report.subsets`"
            )
        if names["seed"] not in asked:
            seeds = ", ".join(str(seed) for seed in asked)
            raise ValueError(
                f"the study does not select the subset with seed {names['seed']}; it does with "
                f"--seed {seeds}"
            )
        raise ValueError(f"the subset has not been selected with seed {names['seed']}: {again}")
    found: dict[str, Any] = read_json(path)
    if found["spec"] != json.loads(plan.subset_spec(names["subset"])):
        raise ValueError(f"the subset was selected with other settings or code: {again}")
    if found["sha256"] != sha256_file(layout.artifact(layout.SUBSET, **names)):
        raise ValueError(f"the subset is not the one of its manifest: {again}")
    return found


def _requests(plan: Plan, teacher: str) -> Callable[[Row], str]:
    """Return what gives a prompt the digest of its request to a teacher."""
    entry = plan.study.teachers[teacher]
    manifest = layout.artifact(layout.ASSET, kind="teachers", name=teacher)
    model = Model.beside(manifest).digest if entry.source else ""
    identity = engine_identity(entry.engine, entry.params, model)
    return lambda prompt: request_key(identity, entry.sampling, trace_request(prompt, entry.seed))


def _card(
    plan: Plan,
    wanted: Wanted,
    names: dict[str, Any],
    manifest: dict[str, Any],
    num: int,
    folder: Path,
) -> Card:
    entry = plan.study.subsets[wanted.subset]
    params = plugin("selectors", entry.selector).params(**entry.params)
    pool = read_json(layout.artifact(layout.POOL, **names))
    counts = {key: value for key, value in pool.items() if isinstance(value, int)}
    files = sorted((folder / "data").iterdir())
    columns = pq.read_schema(files[0]).names
    config = shlex.join(map(name_path, wanted.configfiles))
    where = "" if wanted.directory == Path() else f" --directory {name_path(wanted.directory)}"
    subset_file = layout.artifact(layout.SUBSET, **names)
    return Card(
        title=wanted.subset,
        split=wanted.split,
        num_rows=num,
        rule=say_module("selectors", entry.selector),
        params=[
            (name, getattr(params, name), field.description or "")
            for name, field in type(params).model_fields.items()
            if getattr(params, name) is not None
        ],
        labels=describe_labels(plan, plan.annotators(entry.pool, entry.teacher)),
        names={
            "study": plan.study.study,
            "pool": entry.pool,
            "teacher": entry.teacher,
            "selector": entry.selector,
            "size": num,
            "seed": wanted.seed,
            **({"near": entry.near} if entry.near else {}),
            **describe_choice(entry),
        },
        columns=[(name, _COLUMNS[name]) for name in columns],
        pool=counts,
        traces=read_json(layout.artifact(layout.TRACE_STATISTICS, **names)),
        selection=manifest,
        decontamination=pool.get("decontamination"),
        origins=find_origins(plan, entry.pool, entry.teacher),
        digests={
            **{f"data/{path.name}": sha256_file(path) for path in files},
            "the selection": manifest["sha256"],
            "spec of the selection": digest(manifest["spec"]),
            "spec of the pool": digest(pool["spec"]),
            "spec of the teacher": digest(json.loads(plan.trace_spec(entry.teacher))),
        },
        commands=[
            f"git checkout {wanted.commit}",
            f"snakemake --profile profiles/local{where} --configfile {config} -- {subset_file}",
            f"python -m scripts.export_subset{where} --configfile {config} "
            f"--subset {wanted.subset} --seed {wanted.seed} --shape {wanted.shape} "
            f"--split {wanted.split} --out {shlex.quote(name_path(wanted.out))}",
        ],
        trace=[
            "`source_row` is the row of the pool's source, whose files Sources and licences names.",
            "`request` is the digest of the engine, its settings, the sampling, the seed of the "
            "row and the question: two rows with the same digest asked the same.",
            f"The teacher's sampling: `{plan.study.teachers[entry.teacher].sampling}`.",
            "`rank` and `score` are what the selector gave it.",
        ],
    )


def name_path(path: Path) -> str:
    """Return a path as a card shows it: below the project, or its name alone.

    What lies above is the business of the machine that made the card.
    """
    return path.name if path.is_absolute() or ".." in path.parts else str(path)


def describe_labels(plan: Plan, names: Sequence[str]) -> list[tuple[str, str, str, str]]:
    """Return name, kind, parameters and meaning of annotators."""
    found = []
    for name in names:
        entry = plan.study.annotators[name]
        asks = {"student": entry.student} if entry.student else {}
        said = ", ".join(f"{key} {value}" for key, value in {**asks, **entry.params}.items())
        meaning = " ".join(say_module("annotators", entry.kind).split("\n\n")[0].split())
        found.append((name, entry.kind, said or "defaults", meaning))
    return found


def say_module(section: str, name: str) -> str:
    """Return what a plug-in's module says of itself."""
    return inspect.cleandoc(import_module(f"nt_pkg.{section}.{name}").__doc__ or "")


def describe_choice(entry: Subset) -> dict[str, str]:
    """Return how one answer per question was chosen, if it was."""
    if (choice := entry.one_per_question) is None:
        return {}
    said = choice.model_dump(exclude_defaults=True)
    return {"one answer per question": ", ".join(f"{name} {value}" for name, value in said.items())}


def find_origins(plan: Plan, pool: str, teacher: str) -> list[Origin]:
    """Return what the traces and labels of a teacher over a pool were made from."""
    entries = [("pools", pool), ("teachers", teacher)]
    entries += [("annotators", name) for name in plan.annotators(pool, teacher)]
    found = []
    for kind, name in entries:
        entry = getattr(plan.study, kind)[name]
        engine = getattr(entry, "engine", None)
        params = getattr(entry, "engine_params", None) or getattr(entry, "params", {})
        if kind == "annotators" and engine is None and entry.source is None:
            continue  # rules of this repository
        words = (getattr(entry, "kind", None), engine, params.get("model"))
        source, license_ = "no files", UNKNOWN
        if entry.source is not None:
            source, license_ = find_source(kind, name, entry.source)
        elif engine is None:
            license_ = _GENERATED
        elif not engine_kind(engine).is_model:
            license_ = OWN  # it gives back texts of the pool
        what = " ".join(str(word) for word in words if word)
        found.append(Origin(kind.removesuffix("s"), name, what, source, license_))
    return found


def find_source(kind: str, name: str, source: Source) -> tuple[str, str]:
    """Return where the files of an entry come from, and their licence."""
    manifest = layout.artifact(layout.ASSET, kind=kind, name=name)
    made = read_json(manifest) if manifest.exists() else {}
    text = str(source.builtin or Path(source.path or "").name)
    own = _GENERATED if source.builtin else None
    if source.hub is not None:
        text = f"{source.hub} at {made.get('commit', source.revision)}"
    if source.package is not None:
        text = f"{source.origin} of the package index, sha256 {source.package.sha256}"
    if "files" in made:
        text += f", digest of its files {digest(made['files'])}"
    return text, source.license or own or _stated(manifest.parent / "README.md")


def _stated(card: Path) -> str:
    """Return the licence in the front matter of a card."""
    text = card.read_text(errors="replace") if card.is_file() else ""
    if not text.startswith("---\n"):
        return UNKNOWN
    try:
        front = yaml.safe_load(text[4:].partition("\n---")[0])
    except yaml.YAMLError:
        return UNKNOWN
    stated = front.get("license") if isinstance(front, dict) else None
    return ", ".join(map(str, stated)) if isinstance(stated, list) else str(stated or UNKNOWN)
