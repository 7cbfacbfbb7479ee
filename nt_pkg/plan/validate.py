"""Checks of a study's plug-ins, done once, before any job starts.

After this module the parameters of every plug-in are in the form of specs: checked, without
defaults. Only the plug-in itself reads them again.
"""

from typing import Any

from pydantic import ValidationError

from nt_pkg.annotators._labeller import (
    asks_student,
    is_of_questions,
    labeller,
    samples_student,
)
from nt_pkg.config.base import AGREEMENT, checked_params, explain
from nt_pkg.config.benchmarks import Benchmark
from nt_pkg.config.engines import Annotator, EngineRuntime, Teacher
from nt_pkg.config.pools import Pool
from nt_pkg.config.students import Student
from nt_pkg.config.study import Study, Subset
from nt_pkg.engines._start import check_engine, engine_kind, with_cpus
from nt_pkg.plan.admission import admissions
from nt_pkg.plan.comparisons import check_report
from nt_pkg.plugins.registry import names, plugin

Params = dict[str, Any]


def load_study(config: dict[str, Any]) -> Study:
    """Return the checked study.

    Raises:
        ValueError: one line per error, each with its place and what is wrong.
    """
    try:
        study = Study(**config)
    except ValidationError as error:
        raise ValueError(f"the configuration has defects:\n{explain(error)}") from error
    try:
        return _checked(study)
    except ValueError as error:
        raise ValueError(f"the configuration has defects:\n  {error}") from error


def _checked(study: Study) -> Study:
    checked = {
        "pools": {n: _pool(f"pools.{n}", each) for n, each in study.pools.items()},
        "benchmarks": {n: _benchmark(f"benchmarks.{n}", e) for n, e in study.benchmarks.items()},
        "annotators": {
            n: _annotator(study, f"annotators.{n}", e) for n, e in study.annotators.items()
        },
        "teachers": {n: _teacher(f"teachers.{n}", each) for n, each in study.teachers.items()},
        "students": {n: _student(f"students.{n}", each) for n, each in study.students.items()},
        "subsets": {n: _subset(study, f"subsets.{n}", e) for n, e in study.subsets.items()},
    }
    for name, form in study.formats.items():
        if form.kind == "difficulty_mix":
            study.require("annotators", AGREEMENT, f"formats.{name}: difficulty_mix needs it")
    check_report(study)
    admissions(study)
    return study.model_copy(update=checked)


def _pool(where: str, entry: Pool) -> Pool:
    found = _plugin("pools", entry.kind, where)
    if found.needs_source != (entry.source is not None):
        needs = "needs a" if found.needs_source else "takes no"
        raise ValueError(f"{where}: kind {entry.kind} {needs} source")
    return entry.model_copy(update={"params": _params(found, entry.params, where)})


def _benchmark(where: str, entry: Benchmark) -> Benchmark:
    found = _plugin("benchmarks", entry.kind, where)
    return entry.model_copy(update={"params": _params(found, entry.params, where)})


def _annotator(study: Study, where: str, entry: Annotator) -> Annotator:
    try:
        found, _ = labeller(entry.kind, entry.engine is not None)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    checked: dict[str, Any] = {"params": _params(found, entry.params, where)}
    has_source = entry.source is not None
    _check_student(study, where, entry)
    if entry.engine is None and has_source != getattr(found, "needs_model", False):
        raise ValueError(
            f"{where}: source without `engine`: add the engine that it is for, or remove it"
            if has_source
            else f"{where}: kind {entry.kind} needs a `source`, the files of its model"
        )
    if entry.engine is None and entry.runtime.is_served:
        raise ValueError(
            f"{where}: nodes, serve, data_parallel and expert_parallel without `engine`: they are "
            "for engine vllm, remove them"
        )
    if entry.engine is not None:
        checked["engine_params"] = _engine_params(
            where, entry.engine, entry.engine_params, "engine_params", entry.runtime, has_source
        )
        if not engine_kind(entry.engine).is_model:
            raise ValueError(
                f"{where}: engine {entry.engine} cannot label traces: use {_engines(is_model=True)}"
            )
    engine = entry.engine
    if entry.student is not None and samples_student(entry.kind):
        engine = study.students[entry.student].engine
    return entry.model_copy(update={**checked, "runtime": with_cpus(entry.runtime, engine)})


def _check_student(study: Study, where: str, entry: Annotator) -> None:
    if asks_student(entry.kind) != (entry.student is not None):
        raise ValueError(
            f"{where}: kind {entry.kind} asks a student: add `student`, a name of `students` "
            f"({', '.join(sorted(study.students)) or 'there is none yet'})"
            if entry.student is None
            else f"{where}: kind {entry.kind} asks no student: remove `student`"
        )
    if entry.student is None:
        return
    params = plugin("annotators", entry.kind).params(**entry.params)
    samples = samples_student(entry.kind)
    askers = [*study.formats.values(), *(study.benchmarks.values() if samples else ())]
    known = sorted({each.think_words for each in askers}, key=str)
    if known and params.think_words not in known:
        raise ValueError(
            f"{where}.params.think_words is {params.think_words}, and "
            f"{'formats and benchmarks' if samples else 'formats'} have "
            f"{', '.join(map(str, known))}: the student would be asked as nowhere else"
        )
    if not samples:
        if "sampling" in entry.model_fields_set:
            raise ValueError(f"{where}: kind {entry.kind} only reads: remove `sampling`")
    elif entry.sampling.temperature == 0 and params.answers > 1:
        raise ValueError(
            f"{where}: {params.answers} answers at temperature 0 are all the same: set "
            "sampling.temperature, such as 0.7, or `answers: 1`"
        )


def _teacher(where: str, entry: Teacher) -> Teacher:
    checked = _engine_params(
        where, entry.engine, entry.params, "params", entry.runtime, entry.source is not None
    )
    if entry.seed and not engine_kind(entry.engine).is_model:
        raise ValueError(f"{where}: engine {entry.engine} does not sample: remove `seed`")
    runtime = with_cpus(entry.runtime, entry.engine)
    return entry.model_copy(update={"params": checked, "runtime": runtime})


def _student(where: str, entry: Student) -> Student:
    if not _plugin("engines", entry.engine, where).needs_model:
        raise ValueError(
            f"{where}: engine {entry.engine} does not run the student: use "
            f"{_engines(needs_model=True)}"
        )
    runtime = entry.runtime.generation
    checked = _engine_params(
        where, entry.engine, entry.engine_params, "engine_params", runtime, True
    )
    cpus = {"generation_cpus": with_cpus(runtime, entry.engine).cpus}
    own = entry.runtime.model_copy(update=cpus)
    return entry.model_copy(update={"engine_params": checked, "runtime": own})


def _subset(study: Study, where: str, entry: Subset) -> Subset:
    found = _plugin("selectors", entry.selector, where)
    checked = _params(found, entry.params, where)
    for needed in found.needs(checked):
        study.require("annotators", needed, f"{where}: selector {entry.selector} needs it")
    _check_near(study, where, entry)
    _check_samples(study, entry)
    _check_choice(study, where, entry)
    _check_size(study, where, entry)
    return entry.model_copy(update={"params": checked})


def _check_near(study: Study, where: str, subset: Subset) -> None:
    selector = plugin("selectors", subset.selector)
    if selector.needs_near != (subset.near is not None):
        raise ValueError(
            f"{where}: selector {subset.selector} needs `near`, the pool whose questions it "
            "selects neighbours of"
            if selector.needs_near
            else f"{where}.near: selector {subset.selector} does not use it: remove it"
        )
    if subset.near is None:
        return
    study.require("pools", subset.near, f"{where}.near")
    for needed in selector.needs(subset.params):
        kind = study.annotators[needed].kind
        if not is_of_questions(kind):
            raise ValueError(
                f"{where}: annotator {needed} is of kind {kind}, which labels traces, and pool "
                f"{subset.near} may not have any: use a kind that labels questions, such "
                "as hidden_states"
            )


def _check_samples(study: Study, subset: Subset) -> None:
    samples, teacher = study.pools[subset.pool].samples, study.teachers[subset.teacher]
    if samples == 1:
        return
    where = f"pools.{subset.pool}.samples: {samples} answers of teacher {subset.teacher}"
    if not engine_kind(teacher.engine).is_model:
        raise ValueError(
            f"{where}, whose engine {teacher.engine} does not sample: use `samples: 1`, or a pool "
            "of its own for that teacher"
        )
    if teacher.sampling.temperature == 0:
        raise ValueError(
            f"{where} at temperature 0 are all the same: set "
            f"teachers.{subset.teacher}.sampling.temperature, such as 0.6, or `samples: 1`"
        )


def _check_choice(study: Study, where: str, subset: Subset) -> None:
    choice = subset.one_per_question
    if choice is None or choice.label is None:
        return
    where = f"{where}.one_per_question.label"
    study.require("annotators", choice.label, where)
    kind = study.annotators[choice.label].kind
    if is_of_questions(kind):
        raise ValueError(
            f"{where}: annotator {choice.label} is of kind {kind}, which labels questions: all "
            "answers to one have the same label, so name one that labels traces"
        )


def _check_size(study: Study, where: str, subset: Subset) -> None:
    pool = study.pools[subset.pool]
    params = plugin("pools", pool.kind).params(**pool.params)
    most = getattr(params, "num_rows", None) or getattr(params, "max_rows", None)
    if most is not None and subset.one_per_question is None:
        most *= study.pools[subset.pool].samples
    if most is not None and subset.size > most:
        raise ValueError(
            f"{where}.size: {subset.size} examples were asked for, pool {subset.pool!r} has at "
            f"most {most} rows: lower the size or enlarge the pool"
        )


def _plugin(package: str, name: str, where: str) -> Any:
    try:
        return plugin(package, name)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _params(found: Any, params: Params, where: str, key: str = "params") -> Params:
    """Return parameters in the form of a spec."""
    checked = checked_params(found.params, params, where, key)
    dumped: Params = checked.model_dump(mode="json", exclude_defaults=True)
    return dumped


def _engine_params(
    where: str, kind: str, params: Params, key: str, runtime: EngineRuntime, has_source: bool
) -> Params:
    checked = _params(_plugin("engines", kind, where), params, where, key)
    try:
        check_engine(kind, runtime, has_source)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    return checked


def _engines(**wanted: bool) -> str:
    """Return the names of engines with some properties, for messages."""
    return " or ".join(
        name
        for name in names("engines")
        if all(getattr(engine_kind(name), key) == value for key, value in wanted.items())
    )
