"""Plugins: one module each, found by name, without registration."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from nt_pkg.identity.fingerprint import code_fingerprint

# Package -> name of the one public constant that each of its modules defines.
CONSTANTS = {
    "pools": "POOL",
    "engines": "ENGINE",
    "annotators": "ANNOTATOR",
    "selectors": "SELECTOR",
    "benchmarks": "BENCHMARK",
}


@cache
def names(package: str) -> tuple[str, ...]:
    """Return the sorted names of the modules of `nt_pkg.<package>` without importing any.

    Those with a leading underscore are shared code.
    """
    folder = Path(__file__).parents[1].joinpath(*package.split("."))
    modules = sorted(module.name for module in pkgutil.iter_modules([str(folder)]))
    return tuple(name for name in modules if not name.startswith("_"))


def plugin(package: str, name: str) -> Any:
    """Return the plugin object `name` of `nt_pkg.<package>`; no other plugin is imported.

    Raises:
        ValueError: there is no such plugin (the message lists all), or its module does not
            define what makes it one.
    """
    if name not in names(package):
        raise ValueError(
            f"unknown {package[:-1]} {name!r}; there are {', '.join(names(package))} "
            f"(each is a module of nt_pkg/{package}/)"
        )
    found = second(package, name, CONSTANTS[package])
    if found is None:
        raise ValueError(
            f"nt_pkg/{package}/{name}.py defines no {CONSTANTS[package]}: add it, or begin the "
            "module's name with `_` if it is shared code"
        )
    return found


def second(package: str, name: str, constant: str) -> Any:
    """Return another constant that the module of a plugin may define; None if it does not."""
    return getattr(importlib.import_module(f"nt_pkg.{package}.{name}"), constant, None)


def fingerprint(package: str, name: str, fields: Iterable[str] | None = None) -> str:
    """Return the code digest of a plugin, or of only the functions behind some of its fields."""
    module = f"nt_pkg.{package}.{name}"
    if fields is None:
        return code_fingerprint(module, [CONSTANTS[package]])
    found = [getattr(plugin(package, name), field) for field in fields]
    parts = [code_fingerprint(inspect.getmodule(each).__name__, [each.__name__]) for each in found]  # type: ignore[union-attr]
    return "-".join(parts) if len(parts) > 1 else parts[0]


def alternative_fingerprints(benchmark: str) -> list[str]:
    """Return the code digests of a benchmark's other graders, by name."""
    others = plugin("benchmarks", benchmark).alternatives
    return [code_fingerprint(f.__module__, [f.__name__]) for _, f in sorted(others.items())]
