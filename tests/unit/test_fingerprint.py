"""A fingerprint changes with the code behind a plugin, and with nothing else."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from nt_pkg.identity import fingerprint
from nt_pkg.plugins import registry as plugins

PACKAGE = fingerprint._PACKAGE

MAIN = '''
"""A module."""

from nt_pkg import whole
from nt_pkg.other import helper as imported
from nt_pkg.sub.near import through_package

LIMIT = 3
UNUSED = 4


class Base:
    size: int = 1


class Main(Base):
    """A class."""

    x: int = 2
    y: int = Field(1, description="How many.")
    """An attribute."""

    def run(self) -> int:
        """Docstring."""
        return own() + imported() + LIMIT + whole.first() + through_package()


def own() -> int:
    from nt_pkg.late import inside

    return deeper() + inside()


def deeper(bound: int = LIMIT) -> int:
    return bound + sum(second for second in range(bound))


def second() -> int:
    return second


def unrelated() -> int:
    return 5
'''
FILES = {
    "__init__": "",
    "main": MAIN,
    "other": "STEP = 1\n\ndef helper():\n    return STEP\n\ndef bystander():\n    return 1\n",
    "whole": "def first():\n    return 1\n\ndef second():\n    return 2\n",
    "late": "def inside():\n    return 1\n",
    "sub/__init__": "",
    "sub/near": "from .far import far\nfrom . import mod\nfrom ..up import up\n\n"
    "def through_package():\n    return far() + mod.g() + up()\n",
    "sub/far": "def far():\n    return 1\n",
    "sub/mod": "def g():\n    return 1\n",
    "up": "def up():\n    return 1\n",
}
Fingerprint = Callable[..., str]


def forget() -> None:
    """Drop what was read of source files."""
    fingerprint._parse.cache_clear()
    fingerprint._definition.cache_clear()
    fingerprint._library_imports.cache_clear()


@pytest.fixture
def fingerprint_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fingerprint:
    """Return a function that edits the package above and gives the fingerprint of `Main`."""
    monkeypatch.setattr(fingerprint, "_PACKAGE", tmp_path / "nt_pkg")
    monkeypatch.setattr(fingerprint, "_ROOT", tmp_path)

    def compute(module: str = "main", old: str = "", new: str = "", root: str = "Main") -> str:
        assert FILES[module].count(old) >= 1, old
        files = {**FILES, module: FILES[module].replace(old, new) if old else FILES[module]}
        return written(tmp_path, files, root)

    yield compute
    forget()


def written(folder: Path, files: dict[str, str], root: str, module: str = "main") -> str:
    """Write a package and return the fingerprint of one of its definitions."""
    shutil.rmtree(folder / "nt_pkg", ignore_errors=True)
    for name, text in files.items():
        path = folder / "nt_pkg" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    forget()
    return fingerprint.code_fingerprint(f"nt_pkg.{module}", [root])


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("main", "def own()", "# a comment\ndef own()"),
        ("main", '"""Docstring."""', '"""Another docstring."""'),
        ("main", '"""A class."""', ""),
        ("main", '"""An attribute."""', '"""Another."""'),
        ("main", '"""A module."""', ""),
        ("main", "LIMIT = 3", "\n\n\nLIMIT   =  (3)"),
        ("main", "from nt_pkg import whole\n", "import os\nfrom nt_pkg import whole\n"),
        ("main", "UNUSED = 4", "UNUSED = 5"),
        ("main", "return 5", "return 6"),
        ("other", "def bystander():\n    return 1", "def bystander():\n    return 2"),
        ("other", "def helper():\n", 'def helper():\n    """New."""\n'),
        ("whole", "return 2", "return 3"),
        ("main", 'description="How many."', 'description="The number."'),
        ("main", "return second", "return second + 1"),
    ],
)
def test_same(fingerprint_of: Fingerprint, module: str, old: str, new: str) -> None:
    before = fingerprint_of()

    assert fingerprint_of(module, old, new) == before


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("main", "LIMIT = 3", "LIMIT = 4"),
        ("main", "return bound", "return 1 + bound"),
        ("main", "bound: int = LIMIT", "bound: int = 3"),
        ("main", "size: int = 1", "size: int = 2"),
        ("main", "x: int = 2", "x: int = 3"),
        ("other", "return STEP", "return STEP + 1"),
        ("other", "STEP = 1", "STEP = 2"),
        ("other", "STEP = 1", "STEP = 1\nSTEP += 1"),
        ("whole", "return 1", "return 3"),
        ("late", "return 1", "return 2"),
        ("sub/near", "far()", "far() + 1"),
        ("sub/far", "return 1", "return 2"),
        ("sub/mod", "return 1", "return 2"),
        ("up", "return 1", "return 2"),
    ],
)
def test_different(fingerprint_of: Fingerprint, module: str, old: str, new: str) -> None:
    before = fingerprint_of()

    assert fingerprint_of(module, old, new) != before


ROUND = "def pick():\n    return cut(1.5)\n"
TABLE = "TABLE = {}\n\ndef solve():\n    return 1\n\ndef pick():\n    return TABLE['x']()\n\n"


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        ("from math import floor as cut\n" + ROUND, "floor", "ceil"),
        ("import json as cut\n" + ROUND, "json", "pickle"),
        ("try:\n    from math import floor as cut\nfinally:\n    pass\n" + ROUND, "floor", "ceil"),
        (TABLE + "TABLE['x'] = solve\n", "return 1", "return 2"),
        (TABLE + "TABLE.update(x=solve)\n", "return 1", "return 2"),
        (TABLE + "TABLE['x'] = lambda: 1\n", "lambda: 1", "lambda: 2"),
        (TABLE + "for name in 'xy':\n    TABLE[name] = solve\n", "return 1", "return 2"),
        (TABLE + "pick.limit = 3\n", "limit = 3", "limit = 4"),
        (
            "TABLE = {}\n\ndef note(f):\n    TABLE[f.__name__] = f\n    return f\n\n"
            "@note\ndef x():\n    return 1\n\ndef pick():\n    return TABLE['x']()\n",
            "return 1",
            "return 2",
        ),
        ("if True:\n    def cut(x):\n        return 1\n" + ROUND, "return 1", "return 2"),
    ],
)
def test_what_a_definition_gets_from_elsewhere_counts(
    fingerprint_of: Fingerprint, tmp_path: Path, text: str, old: str, new: str
) -> None:
    """A library's function, and statements that act on a definition without defining anything."""
    files = {"__init__": "", "main": text}
    before = written(tmp_path, files, "pick")

    assert text.count(old) == 1
    assert written(tmp_path, {**files, "main": text.replace(old, new)}, "pick") != before


@pytest.mark.parametrize(
    "text",
    [
        "import os\nfrom math import floor as cut, ceil\n" + ROUND,
        "from math import floor as cut\n" + ROUND + "if __name__ == '__main__':\n    pick()\n",
        "from math import floor as cut\nprint('loaded')\n" + ROUND,
    ],
)
def test_what_does_not_reach_a_definition_does_not_count(
    fingerprint_of: Fingerprint, tmp_path: Path, text: str
) -> None:
    plain = {"__init__": "", "main": "from math import floor as cut\n" + ROUND}

    assert written(tmp_path, {**plain, "main": text}, "pick") == written(tmp_path, plain, "pick")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('def pick():\n    """Words."""\n    return pick.__doc__\n', "reads a docstring"),
        ("from nt_pkg.other import *\n\ndef pick():\n    return helper()\n", "name what it takes"),
    ],
)
def test_code_whose_reach_cannot_be_seen_is_refused(
    fingerprint_of: Fingerprint, tmp_path: Path, text: str, words: str
) -> None:
    files = {"__init__": "", "main": text, "other": FILES["other"]}

    with pytest.raises(ValueError, match=words):
        written(tmp_path, files, "pick")


def test_only_what_the_root_reaches_counts(fingerprint_of: Fingerprint) -> None:
    before = fingerprint_of(root="deeper")

    assert fingerprint_of("main", "def own()", "def own(x=1)", root="deeper") == before
    assert fingerprint_of("main", "LIMIT = 3", "LIMIT = 4", root="deeper") != before


def test_unknown_root_is_named(fingerprint_of: Fingerprint) -> None:
    with pytest.raises(ValueError, match=r"nt_pkg\.main has no top-level definition 'nothing'"):
        fingerprint_of(root="nothing")


@pytest.mark.parametrize("where", ["from nt_pkg.late import inside", "from nt_pkg import whole"])
def test_import_that_cannot_be_followed_is_refused(fingerprint_of: Fingerprint, where: str) -> None:
    with pytest.raises(ValueError, match="write `from"):
        fingerprint_of("main", where, "import nt_pkg.late")


# How modules may be laid out anew: (module, new module, what other modules write, instead of that).
MOVES = {
    "file renamed": ("other", "sub/elsewhere", {"main": ("nt_pkg.other", "nt_pkg.sub.elsewhere")}),
    "module used whole": (
        "whole",
        "sub/whole",
        {"main": ("from nt_pkg import whole", "from nt_pkg.sub import whole")},
    ),
    "imported inside a function": ("late", "early", {"main": ("nt_pkg.late", "nt_pkg.early")}),
    "relative import": ("up", "sub/up", {"sub/near": ("from ..up import", "from .up import")}),
}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_module_that_moves_changes_nothing(
    fingerprint_of: Fingerprint, tmp_path: Path, move: tuple[str, str, dict[str, tuple[str, str]]]
) -> None:
    before = fingerprint_of()
    old, new, edits = move
    files = dict(FILES)
    files[new] = files.pop(old)
    for module, (was, now) in edits.items():
        assert was in files[module]
        files[module] = files[module].replace(was, now)

    assert written(tmp_path, files, "Main") == before


def test_root_that_moves_changes_nothing(fingerprint_of: Fingerprint, tmp_path: Path) -> None:
    before = fingerprint_of()
    files = {**FILES, "sub/root": MAIN}
    del files["main"]

    assert written(tmp_path, files, "Main", "sub.root") == before


def test_definition_that_moves_changes_nothing(fingerprint_of: Fingerprint, tmp_path: Path) -> None:
    """Also when an import is split in two, or others of its old module stay where they are."""
    before = fingerprint_of()
    files = {**FILES, "new": FILES["late"]}
    files["new"] += "from nt_pkg.main import LIMIT\n\ndef deeper(bound: int = LIMIT) -> int:\n"
    files["new"] += "    return bound + sum(second for second in range(bound))\n"
    start, end = MAIN.index("def deeper"), MAIN.index("def second")
    files["main"] = MAIN[:start] + MAIN[end:]
    files["main"] = files["main"].replace(
        "    from nt_pkg.late import inside\n",
        "    from nt_pkg.new import deeper\n    from nt_pkg.new import inside\n",
    )

    assert written(tmp_path, files, "Main") == before


def test_module_is_whole_where_it_is_handed_on(fingerprint_of: Fingerprint, tmp_path: Path) -> None:
    files = {**FILES, "main": MAIN.replace("LIMIT + whole", "LIMIT + id(whole) + whole")}
    before = written(tmp_path, files, "Main")
    files["whole"] = files["whole"].replace("return 2", "return 3")

    assert written(tmp_path, files, "Main") != before


def test_plugins_of_ours_do_not_notice_that_a_shared_module_moves(
    fingerprint_of: Fingerprint, tmp_path: Path
) -> None:
    ours = {
        path.relative_to(PACKAGE).with_suffix("").as_posix(): path.read_text()
        for path in PACKAGE.rglob("*.py")
    }
    moved = {**ours, "files/draws": ours["identity/seeds"]}
    del moved["identity/seeds"]
    moved = {
        name: text.replace("nt_pkg.identity.seeds", "nt_pkg.files.draws")
        for name, text in moved.items()
    }

    def fingerprints(files: dict[str, str]) -> list[str]:
        written(tmp_path, files, "SELECTOR", "selectors.long")
        return [plugins.fingerprint("selectors", name) for name in plugins.names("selectors")]

    assert fingerprints(moved) == fingerprints(ours)


TWO = {
    "__init__": "",
    "a": "def f():\n    return 1\n\ndef g():\n    return f()\n",
    "b": "def f():\n    return 2\n\ndef g():\n    return f()\n",
    "main": "from nt_pkg.a import g\nfrom nt_pkg.b import g as other\n\n"
    "def Main():\n    return g() - other()\n",
}


def test_definitions_of_one_name_are_not_taken_for_each_other(
    fingerprint_of: Fingerprint, tmp_path: Path
) -> None:
    before = written(tmp_path, TWO, "Main")
    swapped = {**TWO, "a": TWO["b"], "b": TWO["a"]}
    both_moved = TWO["main"].replace("nt_pkg.a", "nt_pkg.x").replace("nt_pkg.b", "nt_pkg.a")
    moved = {"__init__": "", "x": TWO["a"], "a": TWO["b"], "main": both_moved}

    assert written(tmp_path, swapped, "Main") != before
    assert written(tmp_path, moved, "Main") == before


def test_definitions_that_name_each_other(fingerprint_of: Fingerprint, tmp_path: Path) -> None:
    ring = {
        "__init__": "",
        "main": "def even(n):\n    return n == 0 or odd(n - 1)\n\n"
        "def odd(n):\n    return n != 0 and even(n - 1)\n",
    }
    before = written(tmp_path, ring, "even")
    edited = {**ring, "main": ring["main"].replace("n != 0", "n > 0")}

    assert written(tmp_path, edited, "even") != before


def test_submodule_of_a_module_that_is_used_whole_is_refused(
    fingerprint_of: Fingerprint, tmp_path: Path
) -> None:
    files = {**FILES, "main": MAIN.replace("from nt_pkg import whole", "from nt_pkg import sub")}
    files["main"] = files["main"].replace("whole.first()", "sub.mod.g()")

    with pytest.raises(ValueError, match=r"write `from nt_pkg\.sub import mod`"):
        written(tmp_path, files, "Main")
