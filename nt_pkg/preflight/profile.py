"""A Snakemake profile, and in which file, line and key something stands in it."""

import ast
import operator
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from nt_pkg.preflight.facts import PLACEHOLDER, Request

_FILE = re.compile(r"(?:profile|config)(?:\.v(\d+)\+)?\.yaml")
_SNAKEMAKE_MAJOR = 9
# What our rules give to jobs with GPUs, and the default resource it stands in.
_OF_GPU_JOBS = {
    "slurm_partition": "gpu_partition",
    "gpu_model": "gpu_type",
    "constraint": "gpu_constraint",
    "qos": "gpu_qos",
}
Keys = tuple[str, ...]


@dataclass(frozen=True)
class Profile:
    """A profile's settings and the lines they stand in."""

    path: Path
    values: dict[str, Any]
    lines: dict[Keys, int]

    def get(self, *keys: str) -> Any:
        """Return a value, or None."""
        found: Any = self.values
        for key in keys:
            found = found.get(key) if isinstance(found, dict) else None
        return found

    def where(self, *keys: str) -> str:
        """Return file, line and key of a setting."""
        at = f":{self.lines[keys]}" if keys in self.lines else ""
        return f"{shown(self.path)}{at} {'.'.join(keys)}"

    def where_resource(self, request: Request, name: str, value: Any = None) -> str:
        """Return where a resource comes from, or can be set if the rule says it itself.

        Args:
            request: of the jobs that have it.
            name: name of the resource.
            value: what they have; default-resources count only where a rule is silent.
        """
        rule = request.rule
        if self.get("set-resources", rule, name) is not None:
            return self.where("set-resources", rule, name)
        of_gpu_jobs = _OF_GPU_JOBS.get(name, "")
        if request.has_gpu and self.get("default-resources", "gpu_partition") is not None:
            theirs = self.get("default-resources", of_gpu_jobs)
            if theirs is not None and value in (None, theirs):
                return self.where("default-resources", of_gpu_jobs)
            if of_gpu_jobs and value is None:
                return self.where("default-resources", of_gpu_jobs) + " (to be added)"
        default = self.get("default-resources", name)
        is_silent = name not in request.own
        if default is not None and is_silent and value in (None, default, evaluate(default)):
            return self.where("default-resources", name)
        return self.where("set-resources", rule, name) + " (to be added)"

    def resource(self, rule: str, name: str) -> Any:
        """Return a resource as far as the profile says it."""
        found = self.get("set-resources", rule, name)
        return self.get("default-resources", name) if found is None else found

    def placeholders(self) -> list[tuple[str, str]]:
        """Return place and value of everything that still has to be filled in, once per line."""
        seen: dict[int, tuple[str, str]] = {}
        for keys, value in _leaves(self.values):
            if isinstance(value, str) and PLACEHOLDER in value:
                line = self.lines.get(keys, -len(seen) - 1)
                seen.setdefault(line, (self.where(*keys), value))
        return list(seen.values())


def read_profile(path: Path) -> Profile:
    """Return the profile in a file.

    Raises:
        ValueError: it is not a YAML map.
    """
    try:
        text = path.read_text()
        values = yaml.safe_load(text) or {}
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise ValueError(f"{shown(path)} cannot be read as YAML, mend it: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{shown(path)} must hold `key: value` pairs")
    for name in ("default-resources", "set-resources", "set-threads"):
        values[name] = _as_map(values.get(name), is_nested=name == "set-resources")
    lines: dict[Keys, int] = {}
    if root is not None:
        _collect(root, (), lines)
    return Profile(path, values, lines)


def find_profile(name: str, root: Path, cwd: Path) -> tuple[Path, bool]:
    """Return the file of a profile, and whether `snakemake --profile NAME` finds it as well.

    Raises:
        ValueError: there is none.
    """
    site = [Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "snakemake"]
    site += [
        Path(entry) / "snakemake"
        for entry in os.environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":")[:1]
    ]
    for folder, is_found in [*((f, True) for f in (cwd, *site)), (root / "profiles", False)]:
        path = folder / name
        if path.is_file():
            return path, is_found
        if path.is_dir() and (file := _file_in(path)):
            return file, is_found
    raise ValueError(
        f"there is no profile {name!r} in {cwd}, {', '.join(map(str, site))} or "
        f"{root / 'profiles'}: give the path of its folder"
    )


def evaluate(value: Any, attempt: int = 1) -> float | None:
    """Return the number that an expression such as `attempt * 64000` stands for, if it is simple.

    Times (`4h`) are in minutes.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if not isinstance(value, str):
        return None
    text = value.strip()
    if time := re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd])(?:in|ours?|ays?)?", text):
        return float(time[1]) * {"s": 1 / 60, "m": 1, "h": 60, "d": 1440}[time[2]]
    try:
        return _arithmetic(ast.parse(text, mode="eval").body, attempt)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError):
        return None


def shown(path: Path) -> str:
    """Return a path as seen from the current folder, if it lies below."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


_OPERATORS: dict[type[ast.AST], Any] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
}


def _arithmetic(node: ast.expr, attempt: int) -> float:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return float(node.value) if isinstance(node.value, float) else int(str(node.value))
    if isinstance(node, ast.Name) and node.id == "attempt":
        return attempt
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left, right = _arithmetic(node.left, attempt), _arithmetic(node.right, attempt)
        result: float = _OPERATORS[type(node.op)](left, right)
        return result
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        function = {"min": min, "max": max}.get(node.func.id)
        if function and node.args:
            return function(_arithmetic(each, attempt) for each in node.args)
    raise ValueError("not simple arithmetic")


def _file_in(folder: Path) -> Path | None:
    versions = {}
    for path in folder.iterdir():
        if found := _FILE.fullmatch(path.name):
            version = int(found[1] or 0)
            if version <= _SNAKEMAKE_MAJOR:
                versions[(version, path.name.startswith("profile"))] = path
    return versions[max(versions)] if versions else None


def _as_map(value: Any, is_nested: bool) -> dict[str, Any]:
    """Return a setting that may also be written as a list of `name=value` or `rule:name=value`."""
    if isinstance(value, dict):
        return value
    found: dict[str, Any] = {}
    for item in value if isinstance(value, list) else [value] if value else []:
        name, _, text = str(item).partition("=")
        amount: Any = int(text) if text.isdigit() else text
        if is_nested:
            rule, _, name = name.partition(":")
            found.setdefault(rule, {})[name] = amount
        else:
            found[name] = amount
    return found


def _leaves(value: Any, keys: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, (*keys, str(key)))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _leaves(inner, (*keys, str(number)))
    else:
        yield keys, value


def _collect(node: yaml.Node, keys: Keys, lines: dict[Keys, int]) -> None:
    """Note the line of every value; of what an anchor stands for, the line of the anchor's."""
    if keys:
        lines.setdefault(keys, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        merged: list[yaml.Node] = []
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
            else:
                _collect(value, (*keys, str(key.value)), lines)
        for value in merged:
            _collect(value, keys, lines)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            _collect(value, (*keys, str(number)), lines)
