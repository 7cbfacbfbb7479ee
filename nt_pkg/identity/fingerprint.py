"""Digests of code that ignore comments, docstrings and layout.

A plugin's digest covers the definitions that its root functions reach: inside its own module, and
inside every other module of this package that those definitions import. Editing one function of a
module therefore changes only the digests that depend on that function.
"""

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
_ROOT = _PACKAGE.parent


def code_fingerprint(module: str, roots: Iterable[str]) -> str:
    """Return 16 hex digits for the code behind `roots` of a module of ours.

    Args:
        module: dotted name below `nt_pkg`, for example `nt_pkg.selectors.long`.
        roots: names of top-level definitions in it.

    Raises:
        ValueError: a root is not defined in the module.
    """
    reached: dict[tuple[str, str], str] = {}
    waiting = [(module, name) for name in roots]
    while waiting:
        key = waiting.pop()
        if key in reached:
            continue
        reached[key], more = _definition(*key)
        waiting.extend(more)
    text = "\n".join(f"{mod}:{name}={reached[mod, name]}" for mod, name in sorted(reached))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def _definition(module: str, name: str) -> tuple[str, list[tuple[str, str]]]:
    """Return the normalised code of one definition and the definitions of ours that it names."""
    definitions, imports = _parse(module)
    if name in imports:
        return "import", [imports[name]]
    if name not in definitions:
        if _module_file(f"{module}.{name}"):  # `from nt_pkg import text`: the whole module counts
            inner, _ = _parse(f"{module}.{name}")
            return "module", [(f"{module}.{name}", each) for each in inner]
        raise ValueError(f"{module} has no top-level definition {name!r}")
    nodes = definitions[name]
    names = {node.id for top in nodes for node in ast.walk(top) if isinstance(node, ast.Name)}
    more = [
        (module, each) for each in sorted(names - {name}) if each in definitions or each in imports
    ]
    for top in nodes:
        for node in ast.walk(top):  # imports inside functions
            if isinstance(node, ast.ImportFrom | ast.Import):
                more.extend(_own_imports(module, node).values())
    return "\n".join(ast.unparse(node) for node in nodes), more


@cache
def _parse(module: str) -> tuple[dict[str, list[ast.stmt]], dict[str, tuple[str, str]]]:
    """Return a module's top-level definitions by name, and its imports from this package."""
    path = _module_file(module)
    assert path is not None, module
    tree = _strip_docstrings(ast.parse(path.read_text(), filename=str(path)))
    definitions: dict[str, list[ast.stmt]] = {}
    imports: dict[str, tuple[str, str]] = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom | ast.Import):
            imports.update(_own_imports(module, node))
        for name in _bound_names(node):
            definitions.setdefault(name, []).append(node)
    return definitions, imports


def _bound_names(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.ImportFrom | ast.Import):
        return []
    return [
        each.id
        for each in ast.walk(node)
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
    ]


def _own_imports(module: str, node: ast.ImportFrom | ast.Import) -> dict[str, tuple[str, str]]:
    """Return local name -> (module of ours, name in it) of one import statement."""
    if isinstance(node, ast.Import):
        ours = [alias.name for alias in node.names if alias.name.split(".")[0] == _PACKAGE.name]
        if ours:
            raise ValueError(f"{module}: write `from ... import ...` instead of `import {ours[0]}`")
        return {}
    source = node.module or ""
    if node.level:
        base = module.split(".")
        keep = len(base) - node.level + (_is_package(module))
        source = ".".join([*base[:keep], *([source] if source else [])])
    if source.split(".")[0] != _PACKAGE.name:
        return {}
    return {alias.asname or alias.name: (source, alias.name) for alias in node.names}


def _is_package(module: str) -> bool:
    path = _module_file(module)
    return path is not None and path.name == "__init__.py"


def _module_file(module: str) -> Path | None:
    base = _ROOT.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def _strip_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            # Bare strings are docstrings, or attribute docstrings under a field.
            kept = [
                each
                for each in body
                if not (
                    isinstance(each, ast.Expr)
                    and isinstance(each.value, ast.Constant)
                    and isinstance(each.value.value, str)
                )
            ]
            node.body = kept if kept or isinstance(node, ast.Module) else [ast.Pass()]  # type: ignore[attr-defined]
    return tree
