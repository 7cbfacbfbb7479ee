"""The documentation of the configuration: its JSON schema and reference page."""

from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from nt_pkg.annotators._ask import Asker
from nt_pkg.annotators._labeller import WITH_ENGINE, asks_student
from nt_pkg.config.answers import Answers
from nt_pkg.config.base import Strict
from nt_pkg.config.benchmarks import Benchmark
from nt_pkg.config.engines import Annotator, EngineRuntime, Sampling, Server, Teacher
from nt_pkg.config.load import json_schema
from nt_pkg.config.pools import Decontaminate, Pool
from nt_pkg.config.report import Claim, Comparison, Published, Report
from nt_pkg.config.sources import Source
from nt_pkg.config.students import Format, Runtime, Student, Training
from nt_pkg.config.study import OnePerQuestion, Runs, Study, Subset
from nt_pkg.plugins import registry as plugins

_INTRO = """# Configuration

Generated from `nt_pkg/config/` by `make schema`; a test fails when it is stale.

A study is a YAML file, given with `--configfile`. Four places can set a key, and the later one
wins: the base `config/config.yaml`, the files that a file includes, the file itself (several are
read in the order given), and `--config`. Maps (the catalogue) merge, lists (the plan) replace, and
`null` removes a value of an earlier file. Unknown keys are errors.

Paths in `include` are relative to the file that names them, and every other path to the folder
that Snakemake works in. A file that is named several times is read once, where it is named first.
A YAML anchor is valid within its file. The value of `--config key=value` is read as YAML, such as
`--config 'report={title: Mine}'`.

Everything is checked before a job starts. Names are lower-case letters, digits, `.`, `-` and `_`.

Editors complete and check these files through `config/schema.json`.
"""
_SECTIONS: tuple[type[Strict], ...] = (
    Study,
    Pool,
    Source,
    Decontaminate,
    Teacher,
    Sampling,
    Annotator,
    EngineRuntime,
    Server,
    Subset,
    OnePerQuestion,
    Format,
    Student,
    Training,
    Runtime,
    Benchmark,
    Runs,
    Answers,
    Report,
    Comparison,
    Claim,
    Published,
)
_WORDS: dict[Any, str] = {
    **{str: "text", int: "integer", float: "number", bool: "`true` or `false`"},
    **{NoneType: "none", Any: "any"},
}


# Model of the configuration, its key that names a plug-in, the package of the plug-in, and what
# the plug-in must satisfy there.
_NAMED = (
    ("Pool", "kind", "pools", None),
    ("Teacher", "engine", "engines", None),
    ("Annotator", "kind", "annotators", None),
    ("Annotator", "engine", "engines", "is_model"),
    ("Subset", "selector", "selectors", None),
    ("Student", "engine", "engines", "needs_model"),
    ("Benchmark", "kind", "benchmarks", None),
)


def editor_schema() -> dict[str, Any]:
    """Return the JSON schema of a study for editors, with the names of the available plug-ins."""
    schema = json_schema()
    for model, key, package, wanted in _NAMED:
        field = schema["$defs"][model]["properties"][key]
        text = next((each for each in field.get("anyOf", ()) if each["type"] == "string"), field)
        text["enum"] = [
            name
            for name in plugins.names(package)
            if wanted is None or getattr(plugins.plugin(package, name), wanted)
        ]
    return schema


def config_reference() -> str:
    """Return the page as Markdown."""
    parts = [_INTRO]
    for model in _SECTIONS:
        parts.append(f"\n## {model.__name__}\n\n{_first_line(model)}\n")
        parts.extend(_table(model))
    parts.append(
        "\n## Engines\n\nValues of `engine`, with their `params` ([engines](engines.md)).\n"
    )
    for name in plugins.names("engines"):
        engine = plugins.plugin("engines", name)
        parts.append(f"\n### engine: {name}\n")
        if engine.needs_model:
            parts.append("\nRuns a model: its entry needs `source`.\n")
        if engine.needs_server:
            parts.append("\nAsks a server: its entry needs `runtime.server`.\n")
        parts.extend(_params(engine.params))
    parts.append("\n## Plugins\n\nValues of `kind` and `selector`, with their `params`.\n")
    for package in (each for each in plugins.CONSTANTS if each != "engines"):
        for name in plugins.names(package):
            plugin = plugins.plugin(package, name)
            parts.append(f"\n### {package}: {name}\n")
            needs = getattr(plugin, "requires", ())
            if callable(needs):
                parts.append("\nNeeds the annotators that its params name.\n")
            elif needs:
                parts.append(f"\nNeeds the annotators {', '.join(needs)}.\n")
            if isinstance(plugin, Asker):
                parts.append("\nAsks a model: its entry needs `engine`.\n")
            if package == "annotators" and asks_student(name):
                parts.append("\nAsks a student: its entry needs `student`.\n")
            if getattr(plugin, "needs_model", False):
                parts.append("\nRuns a model: its entry needs `source`.\n")
            if getattr(plugin, "needs_near", False):
                parts.append("\nSelects neighbours: its entry needs `near`.\n")
            parts.extend(_params(plugin.params))
            if with_engine := plugins.second(package, name, WITH_ENGINE):
                parts.append("\nWith `engine`:\n")
                parts.extend(_params(with_engine.params))
    return "".join(parts)


def _params(model: type[BaseModel]) -> Iterator[str]:
    yield from _table(model) if model.model_fields else ["\nNo params.\n"]
    for field in model.model_fields.values():
        for inner in _models(field.annotation):
            yield f"\n{inner.__name__}: {_first_line(inner)}\n"
            yield from _table(inner)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models of a type that have no section of their own."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if annotation not in _SECTIONS:
            yield annotation
        return
    for part in get_args(annotation):
        yield from _models(part)


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]


def _table(model: type[BaseModel]) -> Iterator[str]:
    yield "\n| key | type | default | meaning |\n|---|---|---|---|\n"
    for name, field in model.model_fields.items():
        default = "required" if field.is_required() else f"`{_default(field)}`"
        kind = _type_text(field.annotation)
        text = (field.description or "").replace("|", "\\|")
        yield f"| `{name}` | {kind} | {default} | {text} |\n"


def _default(field: Any) -> Any:
    value = field.default_factory() if field.default_factory else field.default
    assert value is not PydanticUndefined
    if isinstance(value, BaseModel):
        return "its defaults"
    return (
        {None: "none", (): "[]"}.get(value, value) if not isinstance(value, list | dict) else value
    )


def _type_text(annotation: Any) -> str:
    """Return what a value may be, for people who write YAML."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_text(parts[0])
    if origin is Literal:
        return " or ".join(f"`{part}`" for part in parts)
    if origin in (Union, UnionType):
        return " or ".join(map(_type_text, parts))
    if origin in (dict, Mapping):
        key, value = map(_type_text, parts)
        return f"map of {value}" if parts[0] is str else f"map of {key} to {value}"
    if origin is tuple and Ellipsis not in parts:
        return f"list of {len(parts)}: {', '.join(map(_type_text, parts))}"
    if origin in (list, tuple):
        return f"list of {_type_text(parts[0])}"
    if annotation in _SECTIONS:
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    if list(_models(annotation)):
        return str(annotation.__name__)
    return _WORDS.get(annotation, str(annotation))
