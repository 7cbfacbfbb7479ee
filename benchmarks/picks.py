"""What each selector picks: the figure of docs/selectors.md, from the results of a study.

    snakemake --profile profiles/local --configfile config/all_selectors.yaml -- subsets
    python -m benchmarks.picks

Reads `results/` and writes docs/selectors.png, with one row per selector: lengths, domains and
strategies of the rows that it picked, over all seeds, against those of the pool.
"""

import argparse
from collections import defaultdict
from pathlib import Path
from typing import Any

import pyarrow as pa
from matplotlib.axes import Axes

from nt_pkg.files.json_files import read_json
from nt_pkg.files.parquet import read_parquet
from nt_pkg.files.schemas import SUBSET
from nt_pkg.report.canvas import INK, SERIES, chart_style, make_axes
from nt_pkg.report.labels import Labels, TraceSet

_TITLES = ("Length of the trace, in tokens", "Domain of the question", "Strategies of the trace")
# As in the table of docs/selectors.md.
_ORDER = (
    *("random", "topics", "semantic", "nearest", "strategies", "long"),
    *("models_agree", "models_disagree", "difficulty_diversity", "coverage"),
)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--pool", default="micro")
    parser.add_argument("--teacher", default="micro-teacher")
    parser.add_argument("--size", type=int, default=300)
    parser.add_argument("--out", type=Path, default=Path("docs/selectors.png"))
    args = parser.parse_args()
    folder = args.results / "annotations" / args.pool / args.teacher
    labels = Labels(
        [
            path
            for name in ("length", "domain", "strategies")
            for path in sorted((folder / name).glob("*.parquet"))
        ]
    )
    key = (args.pool, args.teacher)
    picked = _picked(args.results / "subsets" / args.pool / args.teacher, args.size)
    pool = _shares(labels, key, None)
    with chart_style():
        _draw({name: _shares(labels, key, ids) for name, ids in picked.items()}, pool, args.out)


def _picked(folder: Path, size: int) -> dict[str, list[str]]:
    """Return the ids that each selector picked, over all seeds."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(folder.glob("*/seed*.parquet")):
        spec = read_json(path.with_suffix(".json"))["spec"]
        if spec["size"] == size:
            found[spec["selector"]] += [row["id"] for row in read_parquet(path, SUBSET)]
    return {name: found[name] for name in _ORDER if name in found}


def _shares(labels: Labels, key: TraceSet, ids: list[str] | None) -> dict[str, Any]:
    """Return shares of some rows, or of all: by bin of length, by domain, and by strategy."""
    found = labels.histograms(key, None if ids is None else labels.places(key[0], pa.array(ids)))
    assert found.num_tokens is not None, "the traces have no lengths"
    number = sum(found.num_tokens.counts)
    return {
        "edges": found.num_tokens.edges,
        "num_tokens": [count / number for count in found.num_tokens.counts],
        "domain": {name: count / number for name, count in found.domain.items()},
        "strategies": {name: count / number for name, count in found.strategies.items()},
    }


def _draw(subsets: dict[str, dict[str, Any]], pool: dict[str, Any], out: Path) -> None:
    figure, panels = make_axes(
        len(subsets),
        3,
        8.6,
        0.78 * len(subsets) + 1.1,
        sharex="col",
        sharey="col",
        width_ratios=(1, 0.9, 1),
    )
    figure.set_layout_engine("constrained", h_pad=0.02, hspace=0.06, w_pad=0.06)
    for row, (name, own) in enumerate(subsets.items()):
        cells = panels[3 * row : 3 * row + 3]
        _length(cells[0], own, pool)
        for what, axes in zip(("domain", "strategies"), cells[1:], strict=True):
            _bars(axes, own[what], pool[what], is_last=row == len(subsets) - 1)
        for title, axes in zip(_TITLES, cells, strict=True):
            axes.set_title(title if row == 0 else "", pad=8)
            axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
            axes.tick_params(labelsize=7.5)
            axes.grid(axis="x", visible=False)
            axes.locator_params(axis="y", nbins=3)
        cells[0].set_ylabel(
            name.replace("_", "\n"), rotation=0, ha="right", va="center", color=INK, labelpad=8
        )
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower right", ncols=2)
    figure.savefig(out, dpi=130, transparent=False, facecolor="white")


def _length(axes: Axes, own: dict[str, Any], pool: dict[str, Any]) -> None:
    edges = pool["edges"]
    axes.stairs(own["num_tokens"], edges, fill=True, color=SERIES[0], alpha=0.5, label="picked")
    axes.stairs(pool["num_tokens"], edges, color=INK, linewidth=1.1, label="pool")
    last = max(n for n, share in enumerate(pool["num_tokens"]) if share)
    axes.set_xlim(edges[0], edges[last + 1])


def _bars(axes: Axes, own: dict[str, float], pool: dict[str, float], is_last: bool) -> None:
    names = sorted(pool, key=lambda name: (-pool[name], name))
    places = range(len(names))
    axes.bar(places, [own.get(name, 0) for name in names], color=SERIES[0], alpha=0.5, width=0.8)
    axes.hlines(
        [pool[name] for name in names],
        [place - 0.42 for place in places],
        [place + 0.42 for place in places],
        color=INK,
        linewidth=1.2,
    )
    if is_last:
        axes.set_xticks(places, names, rotation=40, ha="right", rotation_mode="anchor", fontsize=8)


if __name__ == "__main__":
    main()
