"""A part of the report: a table, a figure or a page of rows.

Each is a module in this folder with one `PART`.

    PART = Part(section="training", place=30, draw=tabulate_steps)

Modules are found automatically; nothing needs to be registered.
"""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nt_pkg.plugins import registry as plugins
from nt_pkg.report.browser import Page
from nt_pkg.report.canvas import Chart
from nt_pkg.report.material import Material
from nt_pkg.report.tables import Table

PACKAGE = "report.parts"
Drawn = Chart | Table | Page


@dataclass(frozen=True)
class Part:
    """Where a table or figure appears on the page, and what draws it.

    section: id of one of `nt_pkg.report.sections.SECTIONS`. place: orders the parts of a section.
    draw: returns None if the study has nothing to show.
    """

    section: str
    place: int
    draw: Callable[[Material], Drawn | Sequence[Drawn] | None]


def load_parts() -> list[Part]:
    """Return all parts by section and place.

    Raises:
        ValueError: a module has no `PART`, or two have the same place.
    """
    found: dict[tuple[str, int], tuple[str, Part]] = {}
    for name in plugins.names(PACKAGE):
        part = getattr(importlib.import_module(f"nt_pkg.{PACKAGE}.{name}"), "PART", None)
        where = f"nt_pkg/report/parts/{name}.py"
        if not isinstance(part, Part):
            raise ValueError(f"{where} has no PART: add one, or start the module's name with _")
        other, _ = found.setdefault((part.section, part.place), (where, part))
        if other != where:
            raise ValueError(
                f"{other} and {where} both have place {part.place} of section {part.section!r}: "
                "change one of them"
            )
    return [part for _, (_, part) in sorted(found.items())]


def draw_part(part: Part, material: Material) -> list[Drawn]:
    """Return what a part shows of a study."""
    drawn = part.draw(material)
    if drawn is None:
        return []
    return [drawn] if isinstance(drawn, Drawn) else list(drawn)
