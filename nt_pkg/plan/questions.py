"""The questions of a study's benchmark, for commands that run outside of a job."""

from nt_pkg.benchmarks._base import Item
from nt_pkg.benchmarks._questions import load_items
from nt_pkg.config.study import Study
from nt_pkg.files import layout
from nt_pkg.files.manifest import checked_folder


def items_of(study: Study, name: str) -> list[Item]:
    """Return the questions of a benchmark ordered by id.

    Raises:
        ValueError: the study has no such benchmark, or its files are not there yet.
    """
    study.require("benchmarks", name, "the benchmark")
    entry = study.benchmarks[name]
    if entry.source is None:
        return load_items(entry.kind, entry.params, None)
    manifest = layout.artifact(layout.ASSET, kind="benchmarks", name=name)
    if not manifest.exists():
        raise ValueError(
            f"{manifest} does not exist: bring the files of {name} first, with "
            f"snakemake --profile profiles/local {manifest} --configfile ..."
        )
    return load_items(entry.kind, entry.params, checked_folder(manifest))
