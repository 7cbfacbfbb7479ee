"""From a study to its jobs: which wildcards each stage has, and the spec of every job.

A spec is the canonical text of everything a job's result depends on besides its input files, and of
nothing else: it goes into the rule's `params`, and a changed spec reruns the job. Defaults are
left out.
"""

import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from nt_pkg.annotators._labeller import columns_of, is_of_questions, labeller, samples_student
from nt_pkg.assets.fetch import Digests, missing_commit, source_spec
from nt_pkg.config.answers import Answers
from nt_pkg.config.base import AGREEMENT, IMPORTED, UNTRAINED, Mode, Strict
from nt_pkg.config.sources import Source
from nt_pkg.config.study import Study
from nt_pkg.cost.generation import expected_answers, expected_rows
from nt_pkg.engines._start import engine_identity
from nt_pkg.files import layout
from nt_pkg.files.json_files import canonical, digest, sha256_file
from nt_pkg.identity.fingerprint import code_fingerprint
from nt_pkg.identity.recipe_key import recipe_key
from nt_pkg.plugins import registry as plugins

Wildcards = dict[str, Any]

# Versions of code whose results are too expensive to rerun after a refactoring. Raise one if
# results change, and say so in the changelog under "Invalidates".
VERSIONS = {
    "convert": 1,
    "shards": 3,
    "traces": 4,
    "annotations": 1,
    "examples": 2,
    "train": 3,
    "export": 2,
    "samples": 1,
    "truth": 1,
}
STRATEGIES = "strategies"  # the annotator whose labels the report shows as strategies
BASE_SEED, BASE_STEPS = 0, 5000  # of the base student that ships


class Plan:
    """The jobs of one study."""

    def __init__(self, study: Study, cache_dir: Path = Path("work"), folder: Path = Path()) -> None:
        """Keep the study; its plug-ins' parameters are checked and in the form of specs.

        Args:
            study: the checked study.
            cache_dir: where digests of sources are remembered.
            folder: where the workflow runs.
        """
        self.study, self._folder = study, folder
        self._numbers: dict[Path, int] = {}
        self.digests = Digests(cache_dir / "source_digests.json")

    # Wildcards of each stage, without repetition and in a fixed order.

    def pools(self) -> list[Wildcards]:
        """Return the pools in use: those with traces, and those of `near`."""
        names = [w["pool"] for w in self.trace_sets()]
        return _unique({"pool": name} for name in (*names, *sorted(self._near_pools())))

    def prompts(self) -> list[Wildcards]:
        """Return the shards of every pool in use."""
        return [shard for pool in self.pools() for shard in self.shards(pool["pool"])]

    def shards(self, pool: str) -> list[Wildcards]:
        """Return the shards of a pool."""
        number = self.study.pools[pool].num_shards
        return [{"pool": pool, "shard": shard, "num_shards": number} for shard in range(number)]

    def traces(self) -> list[Wildcards]:
        """Return the trace shards of every pool and teacher in use."""
        return [
            {**pair, **shard} for pair in self.trace_sets() for shard in self.shards(pair["pool"])
        ]

    def trace_sets(self) -> list[Wildcards]:
        """Return every pool and teacher in use."""
        subsets = (self.study.subsets[name] for name, _ in self._selected())
        return _unique({"pool": subset.pool, "teacher": subset.teacher} for subset in subsets)

    def annotations(self) -> list[Wildcards]:
        """Return the shards of labels of traces that selectors, formats or the report ask for."""
        return [
            shard
            for pair in self.trace_sets()
            for annotator in self.annotators(**pair)
            if not self.is_of_questions(annotator)
            for shard in self.label_shards(**pair, annotator=annotator)
        ]

    def question_labels(self) -> list[Wildcards]:
        """Return the shards of labels of questions, which belong to no teacher."""
        needed = [
            *((w["pool"], name) for w in self.trace_sets() for name in self.annotators(**w)),
            *((pool, name) for pool, names in self._near_pools().items() for name in names),
        ]
        return _unique(
            shard
            for pool, name in needed
            if self.is_of_questions(name)
            for shard in self.label_shards(pool, name)
        )

    def label_shards(
        self, pool: str, annotator: str, teacher: str | None = None
    ) -> list[Wildcards]:
        """Return the shards of an annotator's labels, each of as many whole shards of the pool.

        Args:
            pool: the pool.
            annotator: the annotator.
            teacher: whose traces it labels; None for one that labels questions.
        """
        of_pool = self.study.pools[pool].num_shards
        most = self.study.annotators[annotator].runtime.rows_per_job
        rows = expected_rows(self.study, pool)
        wanted = of_pool
        if most and rows:
            fitting = (n for n in range(1, of_pool) if of_pool % n == 0 and rows <= n * most)
            wanted = next(fitting, of_pool)
        names = {"pool": pool, "annotator": annotator, **({"teacher": teacher} if teacher else {})}
        pattern = layout.LABELS if teacher else layout.QUESTION_LABELS
        number = self._number(pattern, wanted, names, of_pool)
        return [{**names, "shard": shard, "num_shards": number} for shard in range(number)]

    def shards_in(self, pool: str, shard: int, num_shards: int) -> list[Wildcards]:
        """Return the shards of a pool that one of `num_shards` shards of its labels is about.

        Raises:
            ValueError: the pool cannot be shared out like that.
        """
        found = self.shards(pool)
        if len(found) % num_shards:
            raise ValueError(
                f"the {len(found)} shards of pool {pool} cannot be labelled by {num_shards} jobs: "
                "ask for a number that divides them"
            )
        each = len(found) // num_shards
        return found[shard * each : (shard + 1) * each]

    def is_of_questions(self, annotator: str) -> bool:
        """Return whether an annotator labels questions, independent of the teacher."""
        return is_of_questions(self.study.annotators[annotator].kind)

    def reads_columns(self, annotator: str) -> bool:
        """Return whether an annotator reads further columns of the pool."""
        entry = self.study.annotators[annotator]
        return bool(columns_of(entry.kind, entry.params))

    def near_of(self, subset: str) -> str | None:
        """Return the pool near whose questions a subset is selected."""
        return self.study.subsets[subset].near

    def _near_pools(self) -> dict[str, set[str]]:
        """Return the pools of `near`, each with the annotators that they need."""
        found: dict[str, set[str]] = {}
        for name, _ in self._selected():
            if pool := self.near_of(name):
                found.setdefault(pool, set()).update(self.requires_near(name))
        return found

    def annotators(self, pool: str, teacher: str) -> list[str]:
        """Return the annotators that are needed for one teacher's traces of a pool, sorted."""
        needed = set(self.study.report.annotators)
        for name, form in self._selected():
            subset = self.study.subsets[name]
            if (subset.pool, subset.teacher) == (pool, teacher):
                needed.update(self.requires(name), self.format_requires(form) if form else ())
        return sorted(needed)

    def requires(self, subset: str) -> list[str]:
        """Return the annotators that a subset needs, for its selector and `one_per_question`."""
        choice = self.study.subsets[subset].one_per_question
        own = [choice.label] if choice and choice.label else []
        return sorted({*self.requires_near(subset), *own})

    def requires_near(self, subset: str) -> list[str]:
        """Return the annotators that the selector of a subset needs, also for the near pool."""
        entry = self.study.subsets[subset]
        found: list[str] = plugins.plugin("selectors", entry.selector).needs(entry.params)
        return found

    def format_requires(self, form: str) -> list[str]:
        """Return the annotators that a distillation format needs."""
        return [AGREEMENT] if self.study.formats[form].kind == "difficulty_mix" else []

    def subsets(self) -> list[Wildcards]:
        """Return every subset and seed in use."""
        runs = self.sft()
        seeds = sorted({run["seed"] for run in runs}) or self.study.seeds or [0]
        shown = [(name, seed) for name in self.study.report.subsets for seed in seeds]
        used = [*((run["subset"], run["seed"]) for run in runs), *shown]
        return _unique(self.subset_wildcards(name, seed) for name, seed in used)

    def subset_wildcards(self, subset: str, seed: int | str) -> Wildcards:
        """Return the wildcards of a subset."""
        entry = self.study.subsets[subset]
        return {"pool": entry.pool, "teacher": entry.teacher, "subset": subset, "seed": seed}

    def sft(self) -> list[Wildcards]:
        """Return every run that trains a student."""
        runs = (
            {key: e[key] for key in ("student", "subset", "format", "seed")} for e in self.sampled()
        )
        return _unique(run for run in runs if run["subset"] != UNTRAINED)

    def evals(self) -> list[Wildcards]:
        """Return every run, benchmark and mode that has a score."""
        return self.study.scores()

    def imported(self, **names: Any) -> Answers:
        """Return the entry of answers from elsewhere that some wildcards name."""
        asked = {name: str(value) for name, value in names.items()}
        return next(
            entry
            for entry in self.study.answers
            if {name: str(value) for name, value in entry.names.items()} == asked
        )

    def sampled(self) -> list[Wildcards]:
        """Return every run of a student, benchmark and mode."""
        return [each for each in self.study.scores() if each["subset"] != IMPORTED]

    def answers(self) -> list[Wildcards]:
        """Return the shards of the answers of every run, benchmark and mode."""
        return [shard for run in self.evals() for shard in self.answer_shards(run)]

    def answer_shards(self, run: Wildcards) -> list[Wildcards]:
        """Return the shards of a run's answers: those that are there, or as many as it should have.

        Their number changes no answer, so answers that are complete stay when it changes. Those
        from elsewhere are one file.
        """
        if run["subset"] == IMPORTED:
            return [{**run, "part": ""}]
        runtime = self.study.students[run["student"]].runtime
        each = max(runtime.generation_answers, runtime.generation_batch)
        answers = expected_answers(self.study, run["benchmark"]) or 1
        number = self._number(layout.SAMPLES, -(-answers // each), run)
        return [{**run, "part": layout.part_name(at, number)} for at in range(number)]

    def _number(self, pattern: str, wanted: int, names: Wildcards, whole: int = 0) -> int:
        """Return the number of shards of a set that is complete, otherwise `wanted`.

        It is looked up once: a set that is made again keeps its number until this process ends.

        Args:
            pattern: path of a shard.
            wanted: what the configuration asks for.
            names: wildcards of the set.
            whole: only numbers that divide this count.
        """
        path = layout.artifact(pattern, shard="*", num_shards="*", part="*", **names)
        if path not in self._numbers:
            complete = layout.complete_sets(pattern, self._folder, **names)
            found = {number for number in complete if whole % number == 0}
            self._numbers[path] = wanted if wanted in found or not found else min(found)
        return self._numbers[path]

    def assets(self) -> list[Wildcards]:
        """Return the catalogue entries in use that come from files."""
        used = {
            "pools": [w["pool"] for w in self.pools()],
            "teachers": [w["teacher"] for w in self.trace_sets()],
            "annotators": [a for w in self.trace_sets() for a in self.annotators(**w)],
            "students": [*(e["student"] for e in self.sampled()), *self._asked_students()],
            "benchmarks": [
                *(e["benchmark"] for e in self.evals()),
                *(name for w in self.pools() for name in self.decontaminated_of(w["pool"])),
            ],
        }
        return _unique(
            {"kind": kind, "name": name}
            for kind, names in used.items()
            for name in names
            if self.source(kind, name) is not None
        )

    def _asked_students(self) -> list[str]:
        """Return the students that annotators in use ask."""
        labels = (*self.annotations(), *self.question_labels())
        found = (self.study.annotators[each["annotator"]].student for each in labels)
        return [name for name in found if name is not None]

    def decontaminated_of(self, pool: str) -> list[str]:
        """Return the benchmarks whose text is removed from a pool, sorted."""
        entry = self.study.pools[pool].decontaminate
        return sorted(set(entry.against)) if entry else []

    def source(self, kind: str, name: str) -> Source | None:
        """Return the source of a catalogue entry, if it has one."""
        source: Source | None = getattr(self.study, kind)[name].source
        return source

    def longest_example(self, kind: str, name: str) -> int | None:
        """Return the most tokens of an example that an asset is trained on; None if it is not."""
        if kind != "students" or all(run["student"] != name for run in self.sft()):
            return None
        return self.study.students[name].training.max_example_tokens

    def missing_commits(self) -> list[str]:
        """Return what you must fill in before the study can run, one line per source."""
        found = []
        for entry in self.assets():
            source = self.source(**entry)
            assert source is not None, entry
            found.append(missing_commit(source, f"{entry['kind']}.{entry['name']}.source"))
        return [line for line in found if line]

    # Specs.

    @cache  # noqa: B019 - one plan lives as long as the process
    def asset_spec(self, kind: str, name: str) -> str:
        """Return what identifies the files of an asset."""
        source = self.source(kind, name)
        assert source is not None, (kind, name)
        return canonical(source_spec(source, f"{kind}.{name}.source", self.digests))

    def convert_spec(self, kind: str, name: str) -> str:
        """Return the spec of turning a model in GGUF into floats; its file is an input."""
        source = self.source(kind, name)
        assert source is not None, (kind, name)
        return canonical({"gguf": source.gguf, "version": VERSIONS["convert"]})

    @cache  # noqa: B019
    def pool_spec(self, pool: str) -> str:
        """Return the spec of a pool's ingestion."""
        entry = self.study.pools[pool]
        spec: dict[str, Any] = {
            "kind": entry.kind,
            "params": entry.params,
            "code": [
                plugins.fingerprint("pools", entry.kind),
                code_fingerprint("nt_pkg.prompts.ingest", ["ingest"]),
            ],
        }
        if entry.samples > 1:
            spec["samples"] = {
                "number": entry.samples,
                "code": code_fingerprint("nt_pkg.prompts.samples", ["repeat_prompts"]),
            }
        if entry.decontaminate:
            spec["decontaminate"] = {
                "rule": entry.decontaminate.rule,
                "ngram": entry.decontaminate.ngram,
                "against": [self._questions_of(n) for n in self.decontaminated_of(pool)],
                "code": code_fingerprint(
                    "nt_pkg.prompts.cleaning.decontamination", ["start_decontamination"]
                ),
            }
        return canonical(spec)

    def shards_spec(self) -> str:
        """Return the spec of cutting a pool into shards."""
        return canonical({"version": VERSIONS["shards"]})

    def _questions_of(self, benchmark: str) -> dict[str, Any]:
        entry = self.study.benchmarks[benchmark]
        return {
            "benchmark": benchmark,
            "kind": entry.kind,
            "params": entry.params,
            "code": plugins.fingerprint("benchmarks", entry.kind, ("load",)),
            "has_files": entry.source is not None,
        }

    @cache  # noqa: B019
    def trace_spec(self, teacher: str) -> str:
        """Return the spec of a teacher; the files of its model are an input."""
        entry = self.study.teachers[teacher]
        return canonical(
            {
                "teacher": _dump(entry, exclude={"runtime", "source", "architecture"}),
                "engine": engine_identity(entry.engine, entry.params),
                "version": VERSIONS["traces"],
            }
        )

    def statistics_spec(self) -> str:
        """Return the spec of counting traces."""
        code = code_fingerprint("nt_pkg.traces.statistics", ["trace_statistics"])
        return canonical({"code": code})

    @cache  # noqa: B019
    def annotator_spec(self, annotator: str) -> str:
        """Return the spec of an annotator; its model's or student's files are an input."""
        entry = self.study.annotators[annotator]
        _, constant = labeller(entry.kind, entry.engine is not None)
        spec = {
            "kind": entry.kind,
            "params": entry.params,
            "code": code_fingerprint(f"nt_pkg.annotators.{entry.kind}", [constant]),
            "version": VERSIONS["annotations"],
        }
        engine, engine_params = entry.engine, entry.engine_params
        if entry.student is not None and samples_student(entry.kind):
            student = self.study.students[entry.student]
            engine, engine_params = student.engine, student.engine_params
        if engine is not None:
            spec["asks"] = {
                "engine": engine,
                "engine_params": engine_params,
                "sampling": entry.sampling.model_dump(),
            }
            spec["engine"] = engine_identity(engine, engine_params)
        return canonical(spec)

    @cache  # noqa: B019
    def subset_spec(self, subset: str) -> str:
        """Return the spec of a subset; its seed is a wildcard."""
        entry = self.study.subsets[subset]
        near = {"near": entry.near} if entry.near else {}
        choice = {}
        if entry.one_per_question:
            choice["one_per_question"] = {
                **_dump(entry.one_per_question),
                "code": code_fingerprint("nt_pkg.subsets.one_per_question", ["choose_answers"]),
            }
        return canonical(
            {
                **near,
                **choice,
                "selector": entry.selector,
                "size": entry.size,
                **({"tokens": entry.tokens} if entry.tokens else {}),
                "params": entry.params,
                "code": [
                    plugins.fingerprint("selectors", entry.selector),
                    code_fingerprint("nt_pkg.subsets.select", ["select_subset"]),
                ],
            }
        )

    @cache  # noqa: B019
    def examples_spec(self, student: str, form: str) -> str:
        """Return the spec of rendering for a student in a format."""
        training = self.study.students[student].training
        return canonical(
            {
                "format": _dump(self.study.formats[form]),
                "limits": {
                    "max_response_tokens": training.max_response_tokens,
                    "max_example_tokens": training.max_example_tokens,
                },
                "version": VERSIONS["examples"],
            }
        )

    @cache  # noqa: B019
    def train_spec(self, student: str, subset: str) -> str:
        """Return the spec of a student's training on a subset, with the subset's epochs."""
        training = self.study.students[student].training
        own = training.with_epochs(self.study.num_epochs(student, subset))
        held = self.study.students[student].held_out
        return canonical(
            {
                "training": _dump(own),
                "version": VERSIONS["train"],
                **({"held_out": held} if held else {}),
            }
        )

    @cache  # noqa: B019
    def export_spec(self, student: str) -> str:
        """Return the spec of a student's export."""
        dtype = self.study.students[student].training.dtype
        return canonical({"dtype": dtype, "version": VERSIONS["export"]})

    @cache  # noqa: B019
    def sample_spec(self, student: str, benchmark: str, mode: Mode) -> str:
        """Return the spec of a student's answers to a benchmark in a mode; grading is not in it."""
        entry = self.study.benchmarks[benchmark]
        engine = _dump(self.study.students[student], include={"engine", "engine_params"})
        return canonical(
            {
                **engine,
                "kind": entry.kind,
                "params": entry.params,
                "code": plugins.fingerprint("benchmarks", entry.kind, ("load", "prompt")),
                "repeats": entry.repeats,
                "think_words": entry.think_words,
                "mode": mode,
                "sampling": _dump(self.study.students[student].sampling),
                "version": VERSIONS["samples"],
                **self._secrecy(benchmark),
            }
        )

    def import_spec(self, entry: Answers) -> str:
        """Return the spec of answers from elsewhere; the name of the file does not count.

        Raises:
            ValueError: the file does not exist.
        """
        benchmark = self.study.benchmarks[entry.benchmark]
        return canonical(
            {
                "kind": benchmark.kind,
                "params": benchmark.params,
                "mode": entry.mode,
                "repeats": entry.repeats or benchmark.repeats,
                **_dump(entry, include={"columns", "untagged", "missing", "unknown"}),
                "sha256": self.digests.of(answers_file(entry)),
                "code": [
                    plugins.fingerprint("benchmarks", benchmark.kind, ("load", "prompt")),
                    code_fingerprint("nt_pkg.evaluation.import_answers", ["import_answers"]),
                ],
            }
        )

    @cache  # noqa: B019
    def grade_spec(self, benchmark: str) -> str:
        """Return the spec of grading a benchmark."""
        entry = self.study.benchmarks[benchmark]
        return canonical(
            {
                "kind": entry.kind,
                "params": entry.params,
                "code": [
                    plugins.fingerprint("benchmarks", entry.kind, ("load", "grade")),
                    *plugins.alternative_fingerprints(entry.kind),
                    code_fingerprint("nt_pkg.evaluation.sample_and_grade", ["grade_samples"]),
                ],
                **self._secrecy(benchmark),
            }
        )

    def _secrecy(self, benchmark: str) -> dict[str, bool]:
        return {"confidential": True} if self.study.benchmarks[benchmark].confidential else {}

    def base_spec(self) -> str:
        """Return the spec of the micro-world's base student as shipped."""
        code = code_fingerprint("nt_pkg.microworld.pretrain", ["pretrain"])
        return canonical({"seed": BASE_SEED, "num_steps": BASE_STEPS, "code": code})

    def earlier(self) -> list[str]:
        """Return the summary of the earlier report that the page is compared with, or nothing."""
        folder = self.study.report.earlier
        return [] if folder is None else [(Path(folder) / "summary.json").as_posix()]

    def truth(self) -> list[str]:
        """Return the file of true differences that the page is compared with, or nothing.

        Relative to where the workflow runs.

        Raises:
            ValueError: it does not exist.
        """
        named = self.study.report.truth
        if named is None:
            return []
        path = Path(__file__).parents[2] / named
        if not path.is_file():
            raise ValueError(
                f"report.truth: {path} does not exist: correct the path, or make it (docs/truth.md)"
            )
        return [os.path.relpath(path)]

    def truth_spec(self) -> str:
        """Return the spec of keeping what this study measured, as truth for others."""
        return canonical(
            {
                "comparisons": [_dump(each) for each in self.study.report.comparisons],
                "recipes": self.recipe_digests(),
                "code": code_fingerprint("nt_pkg.report.truth", ["keep_truth"]),
            }
        )

    def recipe_digests(self) -> dict[str, str]:
        """Return a digest of what every mean score depends on, seeds aside, by its names.

        That is the student, the pool, the traces, the labels that select and format, the selector,
        the examples, the training, and the benchmark; but not how many seeds or questions average
        out chance, and no names of the catalogue.
        """
        return {recipe_key(run): digest(self._recipe(run)) for run in self.sampled()}

    def _recipe(self, run: Wildcards) -> list[Any]:
        student, benchmark = run["student"], run["benchmark"]
        asked = json.loads(self.sample_spec(student, benchmark, run["mode"]))
        graded = _without_shared_code(self.grade_spec(benchmark))
        for spec in (asked, graded):
            spec["params"] = {k: v for k, v in spec["params"].items() if k != "num_questions"}
        files = [self._files_of("students", student), self._files_of("benchmarks", benchmark)]
        data = [] if run["subset"] == UNTRAINED else self._data_of(run)
        return [files, data, asked, graded, VERSIONS["truth"]]

    def _data_of(self, run: Wildcards) -> list[Any]:
        name, form, student = run["subset"], run["format"], run["student"]
        entry = self.study.subsets[name]
        needed = sorted({*self.requires(name), *self.format_requires(form)})
        return [
            *(
                [self._files_of("pools", p), _without_shared_code(self.pool_spec(p))]
                for p in (entry.pool, entry.near)
                if p
            ),
            *([self._files_of("annotators", a), self.annotator_spec(a)] for a in needed),
            self._files_of("teachers", entry.teacher),
            self.trace_spec(entry.teacher),
            # The name of the near pool stands in it, and its content above.
            {**_without_shared_code(self.subset_spec(name)), "near": None},
            self.examples_spec(student, form),
            self.train_spec(student, name),
            self.export_spec(student),
        ]

    def _files_of(self, kind: str, name: str) -> str:
        return "" if self.source(kind, name) is None else self.asset_spec(kind, name)

    def report_spec(self) -> str:
        """Return the spec of the report."""
        truth = self.study.report.truth
        return canonical(
            {
                "study": self.study.study,
                "report": _dump(self.study.report),
                **({"recipes": self.recipe_digests()} if truth else {}),
                "chance": {n: b.chance for n, b in self.study.benchmarks.items() if b.chance},
                "labels": {n: b.label for n, b in self.study.benchmarks.items() if b.label},
                "subsets": {
                    w["subset"]: _dump(self.study.subsets[w["subset"]]) for w in self.subsets()
                },
                "benchmarks": {name: self._questions_of(name) for name in self.benchmarks()},
                **({"words": words} if (words := self._strategy_words()) else {}),
                "confidential": [
                    w["pool"] for w in self.pools() if self.study.pools[w["pool"]].confidential
                ],
                "code": [
                    code_fingerprint("nt_pkg.report.build", ["build_report"]),
                    code_fingerprint("nt_pkg.report.collect", ["collect"]),
                    code_fingerprint("nt_pkg.report.overlaps", ["measure_overlaps", "read_draws"]),
                    code_fingerprint("nt_pkg.report.rows", ["find_texts", "show_rows"]),
                    code_fingerprint("nt_pkg.report.solved", ["compare_questions"]),
                    *(
                        code_fingerprint(f"nt_pkg.report.parts.{name}", ["PART"])
                        for name in plugins.names("report.parts")
                    ),
                ],
                "style": [
                    sha256_file(Path(__file__).parents[1] / "report" / name)
                    for name in ("page.css", "browser.css", "browser.js")
                ],
            }
        )

    def benchmarks(self) -> list[str]:
        """Return the benchmarks that have scores, sorted."""
        return sorted({run["benchmark"] for run in self.evals()})

    def _strategy_words(self) -> dict[str, Any]:
        """Return the words that the study searches for strategies, for the report to mark them."""
        entry = self.study.annotators.get(STRATEGIES)
        if entry is None or entry.kind != "keywords":
            return {}
        return dict(entry.params["labels"])

    def _selected(self) -> Iterator[tuple[str, str | None]]:
        """Yield every subset with each format that it is rendered in, None if with none."""
        yield from ((name, None) for name in self.study.report.subsets)
        for block in self.study.runs:
            if UNTRAINED not in block.subsets:
                held = [self.study.students[name].held_out for name in block.students]
                subsets = [*block.subsets, *(name for name in held if name)]
                yield from ((subset, form) for subset in subsets for form in block.formats)


def answers_file(entry: Answers) -> Path:
    """Return the file of answers from elsewhere.

    Raises:
        ValueError: it does not exist.
    """
    path = Path(entry.path).expanduser()
    if not path.is_file():
        what = "is a folder: name one file" if path.is_dir() else "does not exist"
        raise ValueError(
            f"{entry.where}, path: {path} {what} (seen from {Path.cwd()}); correct the path"
        )
    return path


def _unique(items: Iterator[Wildcards]) -> list[Wildcards]:
    seen: dict[str, Wildcards] = {}
    for item in items:
        seen.setdefault(canonical(item), item)
    return list(seen.values())


def _dump(
    model: Strict, exclude: set[str] | None = None, include: set[str] | None = None
) -> dict[str, Any]:
    return model.model_dump(mode="json", exclude_defaults=True, exclude=exclude, include=include)


def _without_shared_code(spec: str) -> dict[str, Any]:
    """Return a spec with the code of its plug-in alone; what all share, which is last, is left out.

    A truth costs hours, so for that code it has a number in `VERSIONS`.
    """
    found: dict[str, Any] = json.loads(spec)
    return {**found, "code": found["code"][:-1]}
