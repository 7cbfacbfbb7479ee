"""What a study asks of plug-ins and engines, checked before any job starts."""

from typing import Any

from pydantic import ValidationError

from nt_pkg.annotations.label_traces import is_of_questions, labeller
from nt_pkg.config.base import AGREEMENT, checked_params, explain
from nt_pkg.config.engines import Annotator, EngineRuntime
from nt_pkg.config.study import Study, Subset
from nt_pkg.engines.catalogue import check_engine
from nt_pkg.plugins.registry import plugin, plugin_params


def load_study(config: dict[str, Any]) -> Study:
    """Return the checked study.

    Raises:
        ValueError: one line per defect, each saying where it stands and what is wrong.
    """
    try:
        study = Study(**config)
    except ValidationError as error:
        raise ValueError(f"the configuration has defects:\n{explain(error)}") from error
    try:
        _check_plugins(study)
    except ValueError as error:
        raise ValueError(f"the configuration has defects:\n  {error}") from error
    return study


def _check_plugins(study: Study) -> None:
    for package in ("pools", "benchmarks"):
        for name, entry in getattr(study, package).items():
            plugin_params(package, entry.kind, entry.params, f"{package}.{name}")
    for name, annotator in study.annotators.items():
        _check_annotator(f"annotators.{name}", annotator)
    for name, teacher in study.teachers.items():
        has_source = teacher.source is not None
        _check_engine(
            f"teachers.{name}",
            teacher.engine,
            "params",
            teacher.params,
            teacher.runtime,
            has_source,
        )
    for name, student in study.students.items():
        _check_engine(
            f"students.{name}",
            student.engine,
            "engine_params",
            student.engine_params,
            student.runtime.generation,
            True,
        )
    for name, subset in study.subsets.items():
        where = f"subsets.{name}"
        plugin_params("selectors", subset.selector, subset.params, where)
        for needed in plugin("selectors", subset.selector).requires:
            study.require("annotators", needed, f"{where}: selector {subset.selector} needs it")
        _check_near(study, where, subset)
        _check_size(study, where, subset)
    for name, form in study.formats.items():
        if form.kind == "difficulty_mix":
            study.require("annotators", AGREEMENT, f"formats.{name}: difficulty_mix needs it")
    for name, pool in study.pools.items():
        needs = plugin("pools", pool.kind).needs_source
        if needs != (pool.source is not None):
            raise ValueError(
                f"pools.{name}: kind {pool.kind} {'needs a' if needs else 'takes no'} source"
            )


def _check_near(study: Study, where: str, subset: Subset) -> None:
    selector = plugin("selectors", subset.selector)
    if selector.needs_near != (subset.near is not None):
        raise ValueError(
            f"{where}: selector {subset.selector} needs `near`, the pool whose questions it "
            "looks for neighbours of"
            if selector.needs_near
            else f"{where}.near: selector {subset.selector} looks for no neighbours: remove it"
        )
    if subset.near is None:
        return
    study.require("pools", subset.near, f"{where}.near")
    for needed in selector.requires:
        kind = study.annotators[needed].kind
        if not is_of_questions(kind):
            raise ValueError(
                f"{where}: annotator {needed} is of kind {kind}, which labels traces, and pool "
                f"{subset.near} need not have any: give it a kind that labels questions, such "
                "as hidden_states"
            )


def _check_size(study: Study, where: str, subset: Subset) -> None:
    pool = study.pools[subset.pool]
    params = plugin_params("pools", pool.kind, pool.params, f"pools.{subset.pool}")
    most = getattr(params, "num_rows", None) or getattr(params, "max_rows", None)
    if most is not None and subset.size > most:
        raise ValueError(
            f"{where}.size: {subset.size} examples were asked for, pool {subset.pool!r} has at "
            f"most {most} rows: lower the size or enlarge the pool"
        )


def _check_annotator(where: str, entry: Annotator) -> None:
    try:
        found, _ = labeller(entry.kind, entry.engine is not None)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    checked_params(found.params, entry.params, where)
    has_source = entry.source is not None
    if entry.engine is None and has_source != getattr(found, "needs_model", False):
        raise ValueError(
            f"{where}: source without `engine`: add the engine that it is meant for, or remove it"
            if has_source
            else f"{where}: kind {entry.kind} needs a `source`, the files of the model that it runs"
        )
    if entry.engine is not None:
        _check_engine(
            where, entry.engine, "engine_params", entry.engine_params, entry.runtime, has_source
        )


def _check_engine(
    where: str, kind: str, key: str, params: dict[str, Any], runtime: EngineRuntime, source: bool
) -> None:
    try:
        check_engine(kind, params, runtime, source)
    except ValidationError as error:
        raise ValueError(f"{where}.{key}: {explain(error)}") from error
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
