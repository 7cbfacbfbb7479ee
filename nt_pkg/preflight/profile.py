"""A Snakemake profile, with the file, line and key of each setting."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from nt_pkg.preflight.facts import PLACEHOLDER, SlurmRequest

_FILE = re.compile(r"(?:profile|config)(?:\.v(\d+)\+)?\.yaml")
_SNAKEMAKE_MAJOR = 9
# Resources that our rules set for jobs with GPUs, and the default resource with their value.
_OF_GPU_JOBS = {
    "slurm_partition": "gpu_partition",
    "gpu_model": "gpu_type",
    "constraint": "gpu_constraint",
    "qos": "gpu_qos",
}
_IN_CONFIGURATION = ("gpu", "nodes", "mem_mb")  # of an entry's `runtime`
_Keys = tuple[str, ...]


@dataclass(frozen=True)
class Profile:
    """A profile's settings and their lines."""

    path: Path
    values: dict[str, Any]
    lines: dict[_Keys, int]

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

    def where_resource(self, request: SlurmRequest, name: str) -> str:
        """Return where a resource of a request comes from, or can be set.

        Edit resources that the rule reads from the configuration there, the rest in the profile;
        `default-resources` count only if the rule sets none.
        """
        rule = request.rule
        value = request.gpu_model if name == "gpu_model" else request.get(name)
        if self.get("set-resources", rule, name) is not None:
            return self.where("set-resources", rule, name)
        of_gpu_jobs = _OF_GPU_JOBS.get(name)
        if request.gpus and of_gpu_jobs and self.get("default-resources", "gpu_partition"):
            theirs = self.get("default-resources", of_gpu_jobs)
            if value in (None, theirs):
                added = "" if theirs else " (to be added)"
                return self.where("default-resources", of_gpu_jobs) + added
        default = self.get("default-resources", name)
        if default is not None and name not in request.own and value in (None, str(default)):
            return self.where("default-resources", name)
        added = self.where("set-resources", rule, name) + " (to be added)"
        read = re.search(r"runtime(?:\(\w+\))?\.(\w+)", request.own.get(name, ""))
        key = read[1] if read else name if not request.own and name in _IN_CONFIGURATION else ""
        if not key or not request.owners:
            return added
        text = f"{min(request.owners)}.runtime.{key} of the configuration"
        # The job reads nodes and GPUs too, so the profile cannot override them.
        return f"{text}, or {added}" if name == "mem_mb" else text

    def placeholders(self) -> list[tuple[str, str]]:
        """Return place and value of every placeholder left, once per line."""
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
        raise ValueError(f"{shown(path)} is not valid YAML, fix it: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{shown(path)} must hold `key: value` pairs")
    for name in ("default-resources", "set-resources", "set-threads"):
        values[name] = _as_map(values.get(name), is_nested=name == "set-resources")
    lines: dict[_Keys, int] = {}
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


def shown(path: Path) -> str:
    """Return a path relative to the current folder, if it is below it."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def some(values: Sequence[str], most: int = 8) -> str:
    """Return the first few values, and the number of further ones."""
    more = f" and {len(values) - most} more" if len(values) > most else ""
    return ", ".join(values[:most]) + more


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


def _leaves(value: Any, keys: _Keys = ()) -> Iterator[tuple[_Keys, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, (*keys, str(key)))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _leaves(inner, (*keys, str(number)))
    else:
        yield keys, value


def _collect(node: yaml.Node, keys: _Keys, lines: dict[_Keys, int]) -> None:
    """Record the line of every value; for an alias, the line of its anchor."""
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
