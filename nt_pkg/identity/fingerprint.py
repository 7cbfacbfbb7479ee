"""Digests of code that ignore comments, docstrings, layout, and where in this package code stands.

A plugin's digest covers the definitions that its root functions reach: inside its own module, and
inside every other module of this package that those definitions import. Editing one function of a
module therefore changes only the digests that depend on that function.

Modules have no name in a digest. Definitions are numbered in the order in which a walk from the
roots meets them, and each is its code with the numbers of those that it names. So a definition that
moves into another module, with the imports of it, changes nothing, and two definitions of one name
are never taken for each other. Of a library, what a name stands for counts and not its code.

A statement that defines nothing but acts on definitions, such as `TABLE["x"] = solve`, belongs to
each that it names.
"""

import ast
import hashlib
import json
import re
import symtable
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

_PACKAGE = Path(__file__).parents[1]
_ROOT = _PACKAGE.parent


class _Place(NamedTuple):
    """Where a definition stands."""

    module: str
    name: str


class _Statement(NamedTuple):
    """A top-level statement without its docstrings and without the imports of ours inside it."""

    node: ast.stmt
    imports: list[tuple[str, _Place]]


def code_fingerprint(module: str, roots: Iterable[str]) -> str:
    """Return 16 hex digits for the code behind `roots` of a module of ours.

    Args:
        module: dotted name below `nt_pkg`, for example `nt_pkg.selectors.long`.
        roots: names of top-level definitions in it.

    Raises:
        ValueError: a root is not defined in the module.
    """
    waiting = list(dict.fromkeys(_resolved(_Place(module, name)) for name in sorted(roots)))
    numbers = {place: number for number, place in enumerate(waiting)}
    lines = []
    for place in waiting:  # grows meanwhile
        code, named, foreign = _definition(place)
        for _, other in named:
            if other not in numbers:
                numbers[other] = len(numbers)
                waiting.append(other)
        ours = [(name, numbers[other]) for name, other in named]
        lines.append(json.dumps([code, ours, foreign]))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


@cache
def _definition(place: _Place) -> tuple[str, list[tuple[str, _Place]], list[tuple[str, str]]]:
    """Return the normalised code of a definition, and what its names stand for.

    First those of ours, then those of libraries.
    """
    definitions, imports = _parse(place.module)
    if place.name not in definitions:
        raise ValueError(f"{place.module} has no top-level definition {place.name!r}")
    statements = definitions[place.name]
    code = "\n".join(ast.unparse(each.node) for each in statements)
    inner = [each for statement in statements for each in statement.imports]
    if re.search(r"\b__doc__\b", code):
        raise ValueError(
            f"{place.module}.{place.name} reads a docstring, which is no part of the digest: "
            "write the text into a constant"
        )
    names = _global_names(code) - {place.name}
    own = [(name, _Place(place.module, name)) for name in names if name in definitions]
    outer = [(name, imports[name]) for name in names if name in imports]
    found = []
    for name, target in [*own, *outer, *inner]:
        target = _resolved(target)
        if target.name:
            found.append((name, target))
        else:
            nodes = [each.node for each in statements]
            found.extend(_named_in_module(name, target.module, nodes))
    libraries = _library_imports(place.module)
    foreign = sorted((name, libraries[name]) for name in names if name in libraries)
    return code, sorted(dict.fromkeys(found), key=lambda each: each[0]), foreign


def _resolved(place: _Place) -> _Place:
    """Return where a name is defined that modules may import from each other; "" names a module."""
    definitions, imports = _parse(place.module)
    while place.name in imports and place.name not in definitions:
        place = imports[place.name]
        if _module_file(place.module) is None:
            raise ValueError(f"there is no module {place.module}")
        definitions, imports = _parse(place.module)
    inner = f"{place.module}.{place.name}"
    if place.name not in definitions and _module_file(inner):
        return _Place(inner, "")
    return place


def _named_in_module(
    name: str, module: str, nodes: Iterable[ast.stmt]
) -> Iterator[tuple[str, _Place]]:
    """Yield what is named of a module; all of it where the module itself is handed on."""
    walked = [node for top in nodes for node in ast.walk(top)]
    attributes = [
        node
        for node in walked
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == name
    ]
    uses = sum(isinstance(node, ast.Name) and node.id == name for node in walked)
    named = {node.attr for node in attributes}
    if uses > len(attributes):
        named.update(_parse(module)[0])
    for each in sorted(named):
        target = _resolved(_Place(module, each))
        if not target.name:
            raise ValueError(
                f"{module}.{each}: write `from {module} import {each}`, so that what is named of "
                "it can be seen"
            )
        yield f"{name}.{each}", target


def _global_names(code: str) -> set[str]:
    """Return the names that some code takes from its module: no parameter and no local variable."""
    names: set[str] = set()
    tables = [symtable.symtable(code, "definition", "exec")]
    for table in tables:  # grows meanwhile
        tables.extend(table.get_children())
        is_function = table.get_type() == "function"
        names.update(
            symbol.get_name()
            for symbol in table.get_symbols()
            if symbol.is_referenced() and (symbol.is_global() or not is_function)
        )
    return names


@cache
def _parse(module: str) -> tuple[dict[str, list[_Statement]], dict[str, _Place]]:
    """Return a module's top-level definitions by name, and its imports from this package."""
    path = _module_file(module)
    assert path is not None, module
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    definitions: dict[str, list[_Statement]] = {}
    imports: dict[str, _Place] = {}
    statements: list[_Statement] = []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom | ast.Import):
            imports.update(_own_imports(module, node))
            continue
        statement = _cleaned(module, node)
        statements.append(statement)
        for name in dict.fromkeys(_bound_names(node)):
            definitions.setdefault(name, []).append(statement)
    functions = {
        each.node.name: each.node for each in statements if isinstance(each.node, ast.FunctionDef)
    }
    for statement in statements:
        for name in _touched_names(statement.node, functions):
            if statement not in definitions.get(name, [statement]):
                definitions[name].append(statement)
    return definitions, imports


def _bound_names(top: ast.stmt) -> list[str]:
    """Return the names that a top-level statement gives something to."""
    names = []
    for node in _outside_definitions(top):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.append(node.id)
    return names


def _outside_definitions(top: ast.stmt) -> list[ast.AST]:
    """Return what stands in a top-level statement, but not inside a function or class."""
    nodes: list[ast.AST] = [top]
    for node in nodes:  # grows meanwhile
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            nodes.extend(ast.iter_child_nodes(node))
    return nodes


def _touched_names(top: ast.stmt, functions: dict[str, ast.FunctionDef]) -> list[str]:
    """Return the names whose value a top-level statement may change, by itself or by a call.

    Args:
        top: the statement.
        functions: those of its module; what one may change stands in it.
    """
    if _runs_for_nobody(top):
        return []
    acting: list[ast.AST] = [top]
    if isinstance(top, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        acting = list(top.decorator_list)
    elif isinstance(top, ast.Assign | ast.AnnAssign | ast.AugAssign) and not any(
        isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store)
        for node in ast.walk(top)
    ):
        return []
    names = [node.id for each in acting for node in ast.walk(each) if isinstance(node, ast.Name)]
    for name in [each for each in names if each in functions]:
        names += [node.id for node in ast.walk(functions[name]) if isinstance(node, ast.Name)]
    return list(dict.fromkeys(names))


def _runs_for_nobody(node: ast.stmt) -> bool:
    """Return whether a statement does nothing when its module is imported."""
    guards = {"TYPE_CHECKING", "__name__"}
    return isinstance(node, ast.If) and any(
        isinstance(each, ast.Name) and each.id in guards for each in ast.walk(node.test)
    )


@cache
def _library_imports(module: str) -> dict[str, str]:
    """Return local name -> what it stands for, of a module's imports of libraries."""
    path = _module_file(module)
    assert path is not None, module
    found = {}
    for node in ast.parse(path.read_text(encoding="utf-8"), filename=str(path)).body:
        if _runs_for_nobody(node):
            continue
        for each in _outside_definitions(node):
            if isinstance(each, ast.Import):
                for alias in each.names:
                    name = alias.asname or alias.name.partition(".")[0]
                    found[name] = alias.name if alias.asname else name
            elif isinstance(each, ast.ImportFrom) and not _own_imports(module, each):
                for alias in each.names:
                    found[alias.asname or alias.name] = f"{each.module}.{alias.name}"
    return found


def _cleaned(module: str, top: ast.stmt) -> _Statement:
    """Take out of a statement what is there for people, and its imports of ours."""
    imports: list[tuple[str, _Place]] = []
    for node in ast.walk(top):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id == "Field":
                node.keywords = [each for each in node.keywords if each.arg != "description"]
            continue
        for field in ("body", "orelse", "finalbody"):
            body = getattr(node, field, None)
            if isinstance(body, list):
                kept = []
                for each in body:
                    ours = _own_imports(module, each)
                    imports.extend(ours.items())
                    kept.extend([] if ours or _is_words(each) else [each])
                setattr(node, field, kept or ([ast.Pass()] if field == "body" else []))
    return _Statement(top, imports)


def _is_words(node: ast.stmt) -> bool:
    """Return whether a statement is a bare string: a docstring, also of an attribute."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _own_imports(module: str, node: ast.stmt) -> dict[str, _Place]:
    """Return local name -> place of a statement that imports from this package."""
    if isinstance(node, ast.Import):
        ours = [alias.name for alias in node.names if alias.name.split(".")[0] == _PACKAGE.name]
        if ours:
            raise ValueError(f"{module}: write `from ... import ...` instead of `import {ours[0]}`")
        return {}
    if not isinstance(node, ast.ImportFrom):
        return {}
    source = node.module or ""
    if node.level:
        base = module.split(".")
        keep = len(base) - node.level + (_is_package(module))
        source = ".".join([*base[:keep], *([source] if source else [])])
    if source.split(".")[0] != _PACKAGE.name:
        return {}
    if any(alias.name == "*" for alias in node.names):
        raise ValueError(f"{module}: name what it takes instead of `from {source} import *`")
    return {alias.asname or alias.name: _Place(source, alias.name) for alias in node.names}


def _is_package(module: str) -> bool:
    path = _module_file(module)
    return path is not None and path.name == "__init__.py"


def _module_file(module: str) -> Path | None:
    base = _ROOT.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None
