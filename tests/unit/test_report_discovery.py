"""Parts of the page are found by their modules, and their code is in the report's spec."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from nt_pkg.plugins import registry as plugins
from nt_pkg.report.build import build_report, draw_parts
from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import PACKAGE, Part, load_parts
from nt_pkg.report.records import Inputs
from nt_pkg.report.tables import Column, Table
from tests.unit.report_study import make_material, make_study
from tests.workflow.sandbox import ROOT, run

SPEC = """
from pathlib import Path
from nt_pkg.config.load import read_study
from nt_pkg.plan.study_plan import Plan
from nt_pkg.plan.validate import load_study
print(Plan(load_study(read_study([Path("config/demo.yaml")]))).report_spec())
"""
PARTS = Path("nt_pkg/report/parts")


def draw_one(name: str) -> Callable[[Material], Table]:
    """Return what draws a table of one cell."""
    return lambda material: Table(name, "Caption", (Column("a", "A"),), ({"a": name},))


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what lets the folder of parts have some modules, with a `PART` or None in each."""

    def replace(**parts: Any) -> None:
        monkeypatch.setattr(plugins, "names", lambda package: tuple(parts))
        for name, part in parts.items():
            module = ModuleType(name)
            module.PART = part  # type: ignore[attr-defined]
            monkeypatch.setitem(sys.modules, f"nt_pkg.{PACKAGE}.{name}", module)

    return replace


def test_every_module_is_a_part_with_a_place_of_its_own() -> None:
    parts = load_parts()

    assert len(parts) == len(plugins.names(PACKAGE)) > 25
    assert [(part.section, part.place) for part in parts] == sorted(
        {(part.section, part.place) for part in parts}
    )


def test_the_place_decides_and_not_the_name(pretend: Callable[..., None]) -> None:
    pretend(a=Part("scores", 20, draw_one("second")), b=Part("scores", 10, draw_one("first")))

    assert [each.name for each in draw_parts(make_material([]))["scores"]] == ["first", "second"]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            {"a": Part("scores", 10, draw_one("x")), "b": Part("scores", 10, draw_one("y"))},
            r"parts/a.py and .*parts/b.py both have place 10 of section 'scores'",
        ),
        (
            {"a": Part("scores", 10, draw_one("x")), "b": Part("paper", 10, draw_one("x"))},
            "two parts of the report draw a table named 'x'",
        ),
        ({"a": None}, r"nt_pkg/report/parts/a.py has no PART"),
        (
            {"a": Part("scroes", 10, draw_one("x"))},
            "names the section 'scroes'; there are headline",
        ),
    ],
)
def test_parts_in_each_others_way_are_refused(
    pretend: Callable[..., None], tmp_path: Path, parts: dict[str, Any], message: str
) -> None:
    pretend(**parts)

    with pytest.raises(ValueError, match=message):
        build_report(Inputs(make_study()), tmp_path)


def test_a_part_edited_or_added_changes_the_spec(tmp_path: Path) -> None:
    """A comment changes nothing; listing the parts imports none of them."""
    for name in ("nt_pkg", "config"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    table = tmp_path / PARTS / "costs_table.py"
    before = spec_of(tmp_path)

    table.write_text(f"# A comment.\n{table.read_text()}")
    assert spec_of(tmp_path) == before

    table.write_text(table.read_text().replace("Work per stage", "Seconds per stage"))
    edited = spec_of(tmp_path)
    shutil.copy(table, tmp_path / PARTS / "costs_again_table.py")

    assert len({before, edited, spec_of(tmp_path)}) == 3


def spec_of(folder: Path) -> str:
    """Return the spec of the demo's report by the code of a folder."""
    light = "\nimport sys\nassert not {'matplotlib', 'scipy'} & sys.modules.keys()\n"
    return run(folder, [sys.executable, "-c", SPEC + light])
