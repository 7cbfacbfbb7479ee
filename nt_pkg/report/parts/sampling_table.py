"""The table of how answers were sampled."""

from collections import Counter

from nt_pkg.config.base import IMPORTED
from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Part
from nt_pkg.report.tables import Column, Table
from nt_pkg.report.wording import DASH, name_subset, show_settings


def tabulate_sampling(material: Material) -> Table | None:
    """Return how answers were sampled: one row per benchmark, mode and distinct settings."""
    found = Counter(
        (
            score.benchmark,
            score.mode,
            name_subset(IMPORTED) if score.subset == IMPORTED else show_settings(score.sampling),
            str(score.repeats),
            score.prompt_digest or DASH,
            show_settings(score.versions),
        )
        for score in material.scores
    )
    names = ("benchmark", "mode", "sampling", "repeats", "prompt_digest", "versions")
    rows = tuple(
        dict(zip(names, key, strict=True)) | {"num_scores": found[key]} for key in sorted(found)
    )
    columns = (
        Column("benchmark", "Benchmark"),
        Column("mode", "Mode"),
        Column("sampling", "Sampling"),
        Column("repeats", "Repeats", "number"),
        Column("prompt_digest", "Prompts", "code"),
        Column("versions", "Versions"),
        Column("num_scores", "Scores", "number"),
    )
    caption = "How the answers were sampled. Prompts: digest of all questions as sent."
    return Table("sampling", caption, columns, rows) if rows else None


PART = Part(section="provenance", place=10, draw=tabulate_sampling)
