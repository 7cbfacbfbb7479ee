"""The input files of jobs, from the study and the output patterns of the rules."""

import json
from collections.abc import Iterable
from typing import Any

from nt_pkg.config.base import IMPORTED, UNTRAINED
from nt_pkg.plan.study_plan import Plan
from nt_pkg.snakemake_io.patterns import each


def names_of(wildcards: Any) -> str:
    """Return the names in a path, so that every artifact carries its own identity."""
    return json.dumps(dict(wildcards), sort_keys=True)


class Inputs:
    """Input functions of the rules."""

    def __init__(self, plan: Plan, rules: Any, checkpoints: Any) -> None:
        """Keep Snakemake's registers of rules, which are filled while the workflow is parsed."""
        self._plan, self._rules, self._checkpoints = plan, rules, checkpoints

    def source_manifest(self, kind: str, name: str) -> list[str]:
        """Return the manifest of a catalogue entry's files, or nothing.

        Of a model in GGUF these are the files that it is turned into.
        """
        source = self._plan.source(kind, name)
        if source is None:
            return []
        made = self._rules.convert_model if source.gguf else self._rules.fetch_asset
        return each(made.output.manifest, [{"kind": kind, "name": name}])

    def model_of_annotator(self, name: str) -> list[str]:
        """Return the manifest of the model or the student that an annotator runs, or nothing."""
        student = self._plan.study.annotators[name].student
        return self.source_manifest(*(("students", student) if student else ("annotators", name)))

    def shards_of(self, pattern: str, pool: str, **others: str | None) -> list[str]:
        """Return all shards of a pool for one pattern."""
        return each(pattern, [{**shard, **others} for shard in self._plan.shards(pool)])

    def labels_of(self, pool: str, teacher: str | None, annotators: Iterable[str]) -> list[str]:
        """Return the label shards of several annotators; those of questions have no teacher."""
        of_traces = self._rules.annotate.output.labels
        of_questions = self._rules.annotate_questions.output.labels
        return [
            path
            for name in annotators
            for path in (
                each(of_questions, self._plan.label_shards(pool, name))
                if self._plan.is_of_questions(name)
                else each(of_traces, self._plan.label_shards(pool, name, teacher))
            )
        ]

    def shards_in(self, pattern: str, wildcards: Any) -> list[str]:
        """Return the shards of a pool for one pattern that one shard of its labels is about."""
        numbers = int(wildcards.shard), int(wildcards.num_shards)
        found = self._plan.shards_in(wildcards.pool, *numbers)
        return each(pattern, [{**dict(wildcards), **shard} for shard in found])

    def columns_of(self, wildcards: Any) -> list[str]:
        """Return the manifest of the pool for an annotator that reads its columns, or nothing."""
        if not self._plan.reads_columns(wildcards.annotator):
            return []
        return each(self._rules.ingest_pool.output.manifest, [{"pool": wildcards.pool}])

    def near_labels_of(self, subset: str) -> list[str]:
        """Return the labels of the questions near which a subset is selected, or nothing."""
        pool = self._plan.near_of(subset)
        return self.labels_of(pool, None, self._plan.requires_near(subset)) if pool else []

    def subset_of(self, wildcards: Any) -> str:
        """Return the subset of a run, once it is known."""
        return self._subset(wildcards.subset, wildcards.seed)

    def _subset(self, subset: str, seed: str) -> str:
        values = self._plan.subset_wildcards(subset, seed)
        found: str = self._checkpoints.select_subset.get(**values).output.subset
        return found

    def held_out_of(self, wildcards: Any) -> list[str]:
        """Return the examples of a run's held-out subset and their manifest, or nothing."""
        held = self._plan.study.students[wildcards.student].held_out
        if held is None:
            return []
        made, names = self._rules.build_examples.output, {**dict(wildcards), "subset": held}
        return [*each(made.examples, [names]), *each(made.manifest, [names])]

    def selection_of(self, wildcards: Any) -> list[str]:
        """Return the subsets that a run depends on, or nothing if it has none.

        After a checkpoint has run, Snakemake 9 re-evaluates only jobs that depend on it
        directly. So every job after a selection has it as an input, though only the first
        one reads it.
        """
        if wildcards.subset in (UNTRAINED, IMPORTED):
            return []
        held = self._plan.study.students[wildcards.student].held_out
        names = [wildcards.subset, *([held] if held else [])]
        return [self._subset(name, wildcards.seed) for name in names]

    def pool_and_teacher(self, subset: str) -> dict[str, str]:
        """Return the pool and the teacher of a subset."""
        entry = self._plan.study.subsets[subset]
        return {"pool": entry.pool, "teacher": entry.teacher}

    def model_of(self, wildcards: Any) -> list[str]:
        """Return the manifest next to or inside the folder of the model that a run evaluates."""
        if wildcards.subset == UNTRAINED:
            return self.source_manifest("students", wildcards.student)
        return each(self._rules.export_model.output.manifest, [dict(wildcards)])
