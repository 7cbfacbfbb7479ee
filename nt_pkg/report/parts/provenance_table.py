"""The table of the files behind the numbers."""

from nt_pkg.report.material import Material
from nt_pkg.report.parts._base import Part
from nt_pkg.report.records import Source
from nt_pkg.report.tables import Column, Table


def tabulate_sources(material: Material) -> Table | None:
    """Return file, spec digest and command of every record that has a source."""
    found: list[tuple[str, str, Source | None]] = [
        *(
            ("subsets", f"{s.pool} / {s.teacher} / {s.subset} / {s.seed}", s.source)
            for s in material.subsets
        ),
        *(
            ("sft", f"{r.student} / {r.subset} / {r.format} / {r.seed}", r.source)
            for r in material.runs
        ),
        *(
            (
                "evals",
                f"{s.student} / {s.subset} / {s.format} / {s.seed} / {s.benchmark} / {s.mode}",
                s.source,
            )
            for s in material.scores
        ),
    ]
    rows = tuple(
        {
            "stage": stage,
            "what": what,
            "path": source.path,
            "spec_digest": source.spec_digest,
            "command": source.command,
        }
        for stage, what, source in found
        if source
    )
    columns = (
        Column("what", "What"),
        Column("stage", "Stage"),
        Column("path", "File", "code"),
        Column("spec_digest", "Spec", "code"),
        Column("command", "Command that rebuilds it", "code"),
    )
    caption = (
        "Where every number comes from: the file, the digest of everything it depends on besides "
        "its inputs, and the command that rebuilds it when run in the folder of the study."
    )
    fold = f"All {len(rows):,} files and the commands that rebuild them"
    return Table("provenance", caption, columns, rows, fold=fold) if rows else None


PART = Part(section="provenance", place=20, draw=tabulate_sources)
