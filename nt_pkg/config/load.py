"""Reading a study: the base, its files, and the overrides of the command line."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from nt_pkg.config.study import Study

BASE = Path(__file__).parents[2] / "config" / "config.yaml"
INCLUDE = "include"
NO_STUDY = (
    "no study is named: give one, such as --configfile config/demo.yaml, or a profile whose "
    "`configfile:` names one, such as --profile profiles/local"
)


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a study for editors; other files may give required keys."""
    schema = Study.model_json_schema()
    del schema["required"]
    return schema


def read_study(files: Iterable[Path], overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Return a study, merged: maps merge, lists and values replace.

    Snakemake merges the same files and does not know the key `include`, so its result is not used.

    Args:
        files: as given with --configfile.
        overrides: `key=value` as given with --config; the value is read as YAML.

    Raises:
        ValueError: no file is given, one cannot be read, or files include each other in a circle.
    """
    return merge_study(study_files(files).values(), overrides)


def merge_study(texts: Iterable[dict[str, Any]], overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Return the files of a study and their overrides, merged.

    Args:
        texts: the contents of each file, in order.
        overrides: as for `read_study`.

    Raises:
        ValueError: an override is not valid.
    """
    merged: dict[str, Any] = {}
    for found in [*texts, *map(_override, overrides)]:
        merged = _merge(merged, found)
    return merged


def study_files(files: Iterable[Path]) -> dict[Path, dict[str, Any]]:
    """Return the contents of each file of a study, in the order in which they are merged.

    The base is first. Included files come before the file that includes them, and a file that is
    named twice is read where it is named first.

    Args:
        files: as given with --configfile.

    Raises:
        ValueError: no file is given, one cannot be read, or files include each other in a circle.
    """
    named = list(files)
    if not named:
        raise ValueError(NO_STUDY)
    found: dict[Path, dict[str, Any]] = {}
    for path in (BASE, *named):
        _visit(path, (), found)
    return found


def _visit(path: Path, above: tuple[Path, ...], found: dict[Path, dict[str, Any]]) -> None:
    """Add the files that a file includes, then the file itself.

    Args:
        path: the file.
        above: the files that led to it.
        found: the contents read so far.
    """
    place = path.resolve()
    if place in found:
        return
    if place in above:
        circle = [*above[above.index(place) :], place]
        raise ValueError(f"files include each other in a circle: {' -> '.join(map(str, circle))}")
    by = f", which {above[-1]} includes," if above else ""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise ValueError(f"the configuration file {path}{by} {what}")
    text = _read(path)
    # Relative to the file as named, so that includes work through a link to the file.
    for included in _included(path, text.pop(INCLUDE, None)):
        _visit(path.parent / included, (*above, place), found)
    found[place] = text


def _included(path: Path, value: Any) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
        raise ValueError(
            f"{path}: `{INCLUDE}` must be a list of files, relative to this one, such as "
            f"`{INCLUDE}: [demo.yaml]`; it is {value!r}"
        )
    return value


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        found = _value_of(path.read_text(encoding="utf-8"), str(path))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid YAML: {error}") from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    if found is None:  # comments only
        return {}
    if not isinstance(found, dict):
        raise ValueError(f"{path} must hold `key: value` pairs, not a {type(found).__name__}")
    return found


def _value_of(text: str, place: str) -> Any:
    """Return the value of a YAML text.

    Raises:
        ValueError: a key stands twice in a map or is no text, or a value is not what it looks like.
        yaml.YAMLError: it is no YAML.
    """
    import yaml

    try:
        found = yaml.safe_load(text)
        top = yaml.compose(text, yaml.SafeLoader)
    except RecursionError as error:
        raise ValueError(f"{place} is not valid YAML: it is nested too deeply") from error
    except yaml.YAMLError:
        raise
    except ValueError as error:  # such as the 31st of February
        raise ValueError(f"{place} is not valid YAML: {error}") from error
    _check_nodes(place, top)
    return found


def _check_nodes(path: str, top: Any) -> None:
    """Refuse what YAML lets pass, in the tree of the nodes of a text."""
    import yaml

    waiting, seen = [top], set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:  # an alias
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        if isinstance(node, yaml.ScalarNode) and node.style is None:
            _check_scalar(path, node)
        if not isinstance(node, yaml.MappingNode):
            continue
        lines: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if node is top and key.tag != "tag:yaml.org,2002:str":
                raise ValueError(f"{path}, line {line}: the key {key.value!r} must be a text")
            if key.value in lines and isinstance(key, yaml.ScalarNode):
                raise ValueError(
                    f"{path}: the key `{key.value}` stands in lines {lines[key.value]} and {line} "
                    "of one map, and only one of them would count: remove or rename one"
                )
            lines[str(key.value)] = line
            waiting.append(value)


# As people write numbers; YAML 1.1 has others: 0100 is 64, 1:30 is 90.
_NUMBERS = {
    "int": re.compile(r"[-+]?(0|[1-9][0-9_]*)"),
    "float": re.compile(r"[-+]?[0-9][0-9_]*\.?[0-9_]*([eE][-+]?[0-9]+)?|[-+]?\.[0-9]+([eE].*)?"),
    "bool": re.compile("true|false", re.IGNORECASE),
    "timestamp": re.compile("(?!)"),
}
_READ_AS = {
    "int": "a number to YAML, and not the one that it looks like: write it in decimal digits",
    "float": "no number to calculate with: write it in decimal digits",
    "bool": "a truth value to YAML: write true or false",
    "timestamp": "a date to YAML: that is nothing here",
}


def _check_scalar(path: str, node: Any) -> None:
    kind = node.tag.rpartition(":")[2]
    if kind in _NUMBERS and not _NUMBERS[kind].fullmatch(node.value):
        raise ValueError(
            f"{path}, line {node.start_mark.line + 1}: {node.value} is {_READ_AS[kind]}, or put it "
            "in quotes if it is a text"
        )


def _override(text: str) -> dict[str, Any]:
    import yaml

    key, equals, value = text.partition("=")
    if not equals or key == INCLUDE:
        raise ValueError(
            f"--config {text}: "
            + (f"give files with --configfile, not as `{INCLUDE}`" if equals else "not key=value")
        )
    # Snakemake 9.27 quotes it for the shells of jobs with Python's repr.
    is_kept = repr(text) in (f"'{text}'", f'"{text}"')
    if not is_kept or ("'" in text and set("$`") & set(text)):
        raise ValueError(
            f"--config {text}: these quotes or special characters would not reach the jobs: write "
            "the key into a file and give it with --configfile"
        )
    try:
        return {key: _value_of(value, f"--config {text}")}
    except yaml.YAMLError as error:
        raise ValueError(f"--config {text}: the value is not valid YAML: {error}") from error


def _merge(base: dict[str, Any], overlay: dict[str, Any]) -> dict[str, Any]:
    """Return a new map, because a YAML alias makes two entries one object."""
    merged = dict(base)
    for key, value in overlay.items():
        under = merged.get(key)
        if isinstance(value, dict) and isinstance(under, dict):
            merged[key] = _merge(under, value)
        else:
            merged[key] = value
    return merged
