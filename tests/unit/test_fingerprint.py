"""A fingerprint changes with the code behind a plugin, and with nothing else."""

from collections.abc import Callable
from pathlib import Path

import pytest

from nt_pkg.identity import fingerprint

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
    """An attribute."""

    def run(self) -> int:
        """Docstring."""
        return own() + imported() + LIMIT + whole.first() + through_package()


def own() -> int:
    from nt_pkg.late import inside

    return deeper() + inside()


def deeper(bound: int = LIMIT) -> int:
    return bound


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


@pytest.fixture
def fingerprint_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fingerprint:
    """Return a function that edits the package above and gives the fingerprint of `Main`."""
    package = tmp_path / "nt_pkg"
    monkeypatch.setattr(fingerprint, "_PACKAGE", package)
    monkeypatch.setattr(fingerprint, "_ROOT", tmp_path)

    def compute(module: str = "main", old: str = "", new: str = "", root: str = "Main") -> str:
        for name, text in FILES.items():
            path = package / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            if name == module and old:
                assert text.count(old) >= 1, old
                text = text.replace(old, new)
            path.write_text(text)
        forget()
        return fingerprint.code_fingerprint("nt_pkg.main", [root])

    yield compute
    forget()


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
    ],
)
def test_same(fingerprint_of: Fingerprint, module: str, old: str, new: str) -> None:
    before = fingerprint_of()

    assert fingerprint_of(module, old, new) == before


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("main", "LIMIT = 3", "LIMIT = 4"),
        ("main", "return bound", "return bound + 1"),
        ("main", "bound: int = LIMIT", "bound: int = 3"),
        ("main", "size: int = 1", "size: int = 2"),
        ("main", "x: int = 2", "x: int = 3"),
        ("other", "return STEP", "return STEP + 1"),
        ("other", "STEP = 1", "STEP = 2"),
        ("other", "STEP = 1", "STEP = 1\nSTEP += 1"),
        ("whole", "return 1", "return 3"),
        ("whole", "return 2", "return 3"),
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
