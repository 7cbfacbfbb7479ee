"""How figures look and how they are stored: SVG that follows the reader's theme, PNG and CSV.

Charts draw with the literal colours below. In the SVG each colour becomes a CSS variable with
that colour as fallback, so one file is readable on a light and on a dark page.
"""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, cast

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from nt_pkg.files.foreign_text import printable
from nt_pkg.files.json_files import atomic_path
from nt_pkg.report.tables import Row, render_csv
from nt_pkg.report.wording import sort_naturally

INK, MUTED, GRID = "#22201d", "#6a665f", "#dedad2"
SERIES = ("#2a5f9e", "#b9560f", "#1d7a60", "#84489b", "#ad2f4f", "#7f6a12")
DARK = {
    **{"ink": "#e9e6e0", "muted": "#a9a49b", "grid": "#3a3a3f"},
    **{"s1": "#7db2f0", "s2": "#f0a05c", "s3": "#5cc7a5", "s4": "#cf9be6", "s5": "#f08aa3"},
    "s6": "#d3bd5b",
}
MARKERS = ("o", "s", "^", "D", "v", "P")
NAMES = {INK: "ink", MUTED: "muted", GRID: "grid"} | {c: f"s{i + 1}" for i, c in enumerate(SERIES)}

_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text: selectable, in the page's own font
    "text.parse_math": False,  # a name with two dollar signs is no formula
    "svg.hashsalt": "natural",  # without a salt the ids differ between two equal runs
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "figure.constrained_layout.use": True,
    "savefig.transparent": True,
}


@dataclass(frozen=True)
class Chart:
    """A drawn figure with its texts and its rows of data.

    `alt` says in words what the figure shows, for a reader who cannot see it.
    """

    name: str
    caption: str
    alt: str
    figure: Figure
    rows: Sequence[Row]


@contextmanager
def chart_style() -> Iterator[None]:
    """Apply the figures' style for drawing and saving."""
    # The stubs ask for literal keys, which a plain dict does not have.
    with matplotlib.rc_context(cast(Any, _STYLE)):
        yield


def make_axes(
    num_rows: int, num_columns: int, width: float, height: float, **options: Any
) -> tuple[Figure, list[Axes]]:
    """Return a figure (inches) and its axes row by row."""
    figure = Figure(figsize=(width, height))
    grid = figure.subplots(num_rows, num_columns, squeeze=False, **options)
    return figure, list(grid.ravel())


def make_panels(num_panels: int, **options: Any) -> tuple[Figure, list[Axes]]:
    """Return a figure of equal panels, three in a row at most; unused axes are removed."""
    num_columns = 2 if num_panels == 4 else min(num_panels, 3)
    num_rows = -(-num_panels // num_columns)
    width = 6.4 if num_columns == 1 else 8.6
    height = 2.9 * num_rows + 0.4
    figure, axes = make_axes(num_rows, num_columns, width, height, **options)
    for unused in axes[num_panels:]:
        unused.remove()
    return figure, axes[:num_panels]


def start_at_zero(panels: Sequence[Axes]) -> None:
    """Start the shared vertical axis at zero, with room for marks on it.

    Call it when everything is drawn: setting one limit turns off autoscaling of the other.
    """
    top = max(1.0, *(axes.get_ylim()[1] for axes in panels))  # all may be zero
    for axes in panels:
        axes.set_ylim(-0.035 * top, 1.02 * top)


def label_below(figure: Figure, panels: Sequence[Axes]) -> None:
    """Put one legend for all panels below them."""
    found: dict[str, Artist] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            line = handle[0] if isinstance(handle, ErrorbarContainer) else handle
            found.setdefault(label, line)
    names = sort_naturally(list(found))
    handles = [found[name] for name in names]
    # A legend wider than its figure is cut off; an inch holds about 15 letters.
    fitting = int(15 * figure.get_figwidth() // (8 + max(map(len, names), default=0)))
    columns = max(1, min(len(names), 4, fitting))
    figure.legend(handles, names, loc="outside lower left", ncols=columns)


def save_chart(chart: Chart, folder: Path) -> str:
    """Write name.svg, name.png and name.csv, and return the SVG to inline in a page."""
    buffer = io.StringIO()
    chart.figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    chart.figure.set_layout_engine("none")  # the layout is done; repeating it costs seconds
    body = adapt_svg(printable(buffer.getvalue()), chart)  # XML holds no control characters
    inline = body.replace("<svg ", f'<svg style="{_size(body)}" ', 1)
    with atomic_path(folder / f"{chart.name}.svg") as path:
        path.write_text(_stand_alone(body), encoding="utf-8")
    with atomic_path(folder / f"{chart.name}.csv") as path:
        path.write_text(render_csv(chart.rows), encoding="utf-8")
    with atomic_path(folder / f"{chart.name}.png") as path:
        chart.figure.savefig(
            path,
            format="png",
            dpi=150,
            transparent=False,
            facecolor="white",
            metadata={"Software": ""},
        )
    return inline


def adapt_svg(svg: str, chart: Chart) -> str:
    """Return matplotlib's SVG with themed colours, unique ids, a title and no fixed size."""
    svg = svg[svg.index("<svg ") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style type.*?</style>", "", svg, flags=re.DOTALL)
    for colour, name in NAMES.items():
        svg = svg.replace(colour, f"var(--{name}, {colour})")
    # Ids of clipping areas are digests of positions, whose last digits may differ in equal runs.
    areas: dict[str, str] = {}
    svg = re.sub(
        r"\bp[0-9a-f]{10}\b", lambda m: areas.setdefault(m[0], f"clip-{len(areas) + 1}"), svg
    )
    # Two figures share ids such as "axes_1"; on one page an id must be unique.
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{chart.name}-\1"', svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{chart.name}-", svg)
    svg = re.sub(r"font-family: [^;\"]*", "font-family: var(--sans, system-ui, sans-serif)", svg)
    title_id = f"{chart.name}-title"
    title = f'<title id="{title_id}">{escape(printable(chart.alt))}</title>'
    head = re.match(r"<svg [^>]*>", svg)
    assert head is not None, "matplotlib wrote no svg element"
    opening = re.sub(r' (?:width|height)="[^"]*"', "", head.group())
    opening = opening.replace("<svg ", f'<svg role="img" aria-labelledby="{title_id}" ', 1)
    return f"{opening}\n{title}{svg[head.end() :]}".strip()


def theme_variables() -> tuple[str, str]:
    """Return the CSS declarations of the figure colours, light and dark."""
    light = "".join(f"--{name}:{colour};" for colour, name in NAMES.items())
    return light, "".join(f"--{name}:{colour};" for name, colour in DARK.items())


def _stand_alone(body: str) -> str:
    light, dark = theme_variables()
    style = (
        f"<style>svg{{color-scheme:light dark;{light}}}"
        f"@media (prefers-color-scheme:dark){{svg{{{dark}}}}}</style>"
    )
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\n{body.replace("<title", style + "<title", 1)}\n'
    )


def _size(svg: str) -> str:
    found = re.search(r'viewBox="0 0 ([\d.]+)', svg)
    assert found is not None, "matplotlib wrote no viewBox"
    natural = float(found.group(1)) * 4 / 3  # points to CSS pixels
    return f"width:100%;max-width:{natural * 1.1:.0f}px;min-width:{natural * 0.8:.0f}px"
