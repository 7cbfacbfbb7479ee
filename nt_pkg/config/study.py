"""A study: the catalogue, the plan and the report.

Catalogue entries (pools, teachers, annotators, subsets, formats, students, benchmarks) are maps,
so a file adds to those of the files it includes. The plan (`runs` and `answers`) and the report's
comparisons are lists, so a file replaces theirs.
"""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from nt_pkg.config.answers import Answers
from nt_pkg.config.base import IMPORTED, MOST_NAME, NAME, UNTRAINED, Mode, Strict, did_you_mean
from nt_pkg.config.benchmarks import Benchmark
from nt_pkg.config.engines import Annotator, Teacher
from nt_pkg.config.pools import Pool
from nt_pkg.config.report import Report
from nt_pkg.config.students import Format, Student


class OnePerQuestion(Strict):
    """Which of several answers to a question may be selected."""

    rule: Literal["random", "right", "shortest_right", "lowest", "majority"] = Field(
        description="random: a draw; right: a draw of those whose label is true; shortest_right: "
        "of those the one with the fewest tokens; lowest: the one with the lowest label; majority: "
        "a draw of those whose label is the most frequent one. Draws also decide between equals."
    )
    label: str | None = Field(
        None, description="Catalogue name of the annotator whose label decides; none with random."
    )
    field: str | None = Field(None, description="Field of that label, if it has several.")
    without_right: Literal["drop", "draw"] = Field(
        "drop",
        description="right, shortest_right: questions without a right answer are left out, or one "
        "of their answers is drawn.",
    )

    @model_validator(mode="after")
    def _has_its_label(self) -> Self:
        if (self.rule == "random") != (self.label is None):
            raise ValueError(
                "rule random goes by no label: remove `label`"
                if self.label is not None
                else f"rule {self.rule} needs `label`, the annotator that it goes by"
            )
        if self.label is None and self.field is not None:
            raise ValueError("`field` is of a label, and rule random has none: remove it")
        if self.without_right != "drop" and self.rule not in ("right", "shortest_right"):
            raise ValueError(f"`without_right` means nothing with rule {self.rule}: remove it")
        return self


class Subset(Strict):
    """A selector at a size; each seed of a run draws its own."""

    pool: str = Field(description="Catalogue name of the pool.")
    teacher: str = Field(description="Catalogue name of the teacher.")
    selector: str = Field(description="Module of nt_pkg/selectors.")
    size: int = Field(ge=1, description="Number of examples; with `tokens` the most.")
    tokens: int | None = Field(
        None,
        ge=1,
        description="Tokens of the teacher's traces that the examples may have together: the best "
        "rows as long as they fit. For comparisons at equal tokens; needs `epochs`.",
    )
    epochs: int | None = Field(
        None, ge=1, description="Epochs on this subset, instead of those that go by its size."
    )
    params: dict[str, Any] = Field(default_factory=dict, description="Parameters of that module.")
    near: str | None = Field(
        None,
        description="Catalogue name of the pool with the questions whose neighbours the selector "
        "picks, for selectors that need it.",
    )
    one_per_question: OnePerQuestion | None = Field(
        None,
        description="Of several answers to a question only one may be selected, and by which rule "
        "it is chosen; absent: every answer is a row of its own.",
    )

    @model_validator(mode="after")
    def _names_epochs(self) -> Self:
        if self.tokens is not None and self.epochs is None:
            raise ValueError(
                "`tokens` needs `epochs`: how many rows fit is known after the selection, and the "
                "sides of a comparison must not train for different epochs by it"
            )
        return self


class Runs(Strict):
    """A block of the plan: every combination of its lists is one run."""

    students: list[str] = Field(min_length=1, description="Catalogue names.")
    subsets: list[str] = Field(min_length=1, description='Catalogue names, or "none": untrained.')
    formats: list[str] = Field(min_length=1, description='Catalogue names, or "none": untrained.')
    seeds: list[Annotated[int, Field(ge=0)]] = Field(
        min_length=1, description="Seed of the subset, the order and the engine."
    )
    benchmarks: list[str] = Field(min_length=1, description="Catalogue names.")
    modes: list[Mode] = Field(min_length=1, description="Inference modes.")

    @model_validator(mode="after")
    def _untrained_alone(self) -> Self:
        if (UNTRAINED in self.subsets) != (UNTRAINED in self.formats) or (
            UNTRAINED in self.subsets and (len(self.subsets) > 1 or len(self.formats) > 1)
        ):
            raise ValueError(
                "an untrained student is `subsets: [none]` with `formats: [none]` alone"
            )
        return self


class Study(Strict):
    """A whole study: the catalogue, the plan and the report."""

    include: list[str] = Field(
        default_factory=list,
        description="Files that this one builds on, relative to it; read before it, in this "
        "order, and each once.",
    )
    study: str = Field(
        pattern=f"^{NAME}$", max_length=MOST_NAME, description="Name: results/report/{study}."
    )
    pools: dict[str, Pool] = Field(default_factory=dict, description="Sets of prompts, by name.")
    teachers: dict[str, Teacher] = Field(
        default_factory=dict, description="Who writes traces, by name."
    )
    annotators: dict[str, Annotator] = Field(
        default_factory=dict, description="What labels traces, by name."
    )
    subsets: dict[str, Subset] = Field(
        default_factory=dict, description="Selectors at a size, by name."
    )
    formats: dict[str, Format] = Field(
        default_factory=dict, description="Distillation formats, by name."
    )
    students: dict[str, Student] = Field(
        default_factory=dict, description="Models to train, by name."
    )
    benchmarks: dict[str, Benchmark] = Field(default_factory=dict, description="Tests, by name.")
    runs: list[Runs] = Field(
        default_factory=list,
        description="The plan: blocks of runs; may be empty with `answers` or `report.subsets`.",
    )
    seeds: list[Annotated[int, Field(ge=0)]] = Field(
        default_factory=list,
        description="Seeds of all blocks that train, instead of their own: the same study again. "
        "Without such a block, those of `report.subsets`, by default 0.",
    )
    answers: list[Answers] = Field(
        default_factory=list,
        description="The rest of the plan: answers from elsewhere, scored and compared like those "
        "of students.",
    )
    report: Report = Field(description="What the report shows.")

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        catalogue = (
            "pools",
            "teachers",
            "annotators",
            "subsets",
            "formats",
            "students",
            "benchmarks",
        )
        for section in catalogue:
            for name in getattr(self, section):
                if not re.fullmatch(NAME, name):
                    raise ValueError(
                        f"{section}.{name}: use lower-case letters, digits, dot, dash, underscore"
                    )
                if len(name) > MOST_NAME:
                    raise ValueError(
                        f"{section}.{name}: it has {len(name)} characters, and a name of a file "
                        f"has room for {MOST_NAME} of them: take a shorter name"
                    )
        reserved = {UNTRAINED: "the untrained student", IMPORTED: "answers from elsewhere"}
        for section in ("subsets", "formats"):
            for name, meaning in reserved.items():
                if name in getattr(self, section):
                    raise ValueError(f"{section}.{name}: this name means {meaning}; choose another")
        for name, subset in self.subsets.items():
            self.require("pools", subset.pool, f"subsets.{name}.pool")
            self.require("teachers", subset.teacher, f"subsets.{name}.teacher")
        for name, annotator in self.annotators.items():
            if annotator.student is not None:
                self.require("students", annotator.student, f"annotators.{name}.student")
        for position, block in enumerate(self.runs):
            for section in ("students", "subsets", "formats", "benchmarks"):
                for name in getattr(block, section):
                    if name != UNTRAINED:
                        self.require(section, name, f"runs[{position}].{section}")
        self._check_held_out()
        if not (self.runs or self.answers or self.report.subsets):
            raise ValueError(
                "there is nothing to do: give `runs`, `answers`, or `report.subsets` to select "
                "without a training"
            )
        self._check_answers()
        for name in self.report.annotators:
            self.require("annotators", name, "report.annotators")
        for name in self.report.subsets:
            self.require("subsets", name, "report.subsets")
        for name, pool in self.pools.items():
            for benchmark in pool.decontaminate.against if pool.decontaminate else ():
                self.require("benchmarks", benchmark, f"pools.{name}.decontaminate.against")
        return self

    def _check_held_out(self) -> None:
        for block in self.runs:
            for name in block.students:
                held = self.students[name].held_out
                if held is None:
                    continue
                self.require("subsets", held, f"students.{name}.held_out")
                pool = self.subsets[held].pool
                shared = [
                    s for s in block.subsets if s != UNTRAINED and self.subsets[s].pool == pool
                ]
                if shared:
                    raise ValueError(
                        f"students.{name}.held_out: {held} is of pool {pool}, and so is "
                        f"{shared[0]}, which the student is trained on; hold out rows of a pool of "
                        "their own"
                    )

    def _check_answers(self) -> None:
        seen: dict[tuple[str, int, str, str], int] = {}
        for position, entry in enumerate(self.answers):
            where = f"answers[{position}]"
            self.require("benchmarks", entry.benchmark, f"{where}.benchmark")
            if entry.name in self.students:
                raise ValueError(f"{where}.name: {entry.name!r} is a student; choose another name")
            key = entry.name, entry.seed, entry.benchmark, entry.mode
            if key in seen:
                raise ValueError(
                    f"{where}: {entry.name} already has answers to {entry.benchmark} in mode "
                    f"{entry.mode} with seed {entry.seed}, in answers[{seen[key]}]; give another "
                    "name or seed"
                )
            seen[key] = position

    def seeds_of(self, block: Runs) -> list[int]:
        """Return the seeds of a block: `seeds` replaces those of blocks that train."""
        return block.seeds if UNTRAINED in block.subsets else self.seeds or block.seeds

    def scores(self) -> list[dict[str, Any]]:
        """Return the names of every score of the plan: a run, a benchmark and a mode."""
        found = {
            (student, subset, form, seed, benchmark, mode): None
            for block in self.runs
            for student in block.students
            for subset in block.subsets
            for form in block.formats
            for seed in self.seeds_of(block)
            for benchmark in block.benchmarks
            for mode in block.modes
        }
        fields = ("student", "subset", "format", "seed", "benchmark", "mode")
        sampled = [dict(zip(fields, names, strict=True)) for names in found]
        return [*sampled, *(each.names for each in self.answers)]

    def names_in_use(self) -> set[str]:
        """Return the names of the study, of what its plan uses, and of all annotators."""
        found = {str(each[key]) for each in self.scores() for key in each if key != "seed"}
        subsets = [entry for name, entry in self.subsets.items() if name in found]
        pools = {name for each in subsets for name in (each.pool, each.near) if name}
        teachers = {each.teacher for each in subsets}
        return {self.study, *found, *pools, *teachers, *self.annotators}

    def num_epochs(self, student: str, subset: str) -> int:
        """Return the epochs of a student's training on a subset: the subset's, or by its size."""
        entry = self.subsets[subset]
        return entry.epochs or self.students[student].training.num_epochs(entry.size)

    def require(self, section: str, name: str, where: str) -> None:
        """Check that a section of the catalogue has an entry.

        Raises:
            ValueError: it has none; the message says `where` the name is and lists the entries.
        """
        entries = getattr(self, section)
        if name not in entries:
            raise ValueError(
                f"{where}: unknown name {name!r}; {section} has "
                f"{', '.join(sorted(entries)) or 'none'}{did_you_mean(name, entries)}"
            )
