"""The GPU time of jobs that read or write text with a model, estimated before they run.

Writing a token reads all weights, shared with the other texts of its batch, and its text's cache
(keys and values in bfloat16); its operations, and those of the prompts, come on top. Both at the
GPU's peak are the least time that it can take. vLLM reaches a share of that speed: `UTILISATION`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from nt_pkg.annotators._ask import Asker
from nt_pkg.annotators._base import Example, StudentAnnotator
from nt_pkg.annotators._labeller import labeller, samples_student
from nt_pkg.config.engines import Annotator, EngineRuntime, Teacher
from nt_pkg.config.students import Student
from nt_pkg.config.study import Study
from nt_pkg.cost.decoder_shape import Shape, shape_of
from nt_pkg.cost.hardware import gpu_of, unknown_gpu
from nt_pkg.cost.speeds import speeds_of
from nt_pkg.cost.training import EXAMPLE_TOKENS, Cost, mean_trace
from nt_pkg.files import layout
from nt_pkg.files.json_files import read_json
from nt_pkg.plugins.registry import plugin

# Of that least time: vLLM's own benchmark of Llama-3.1-8B and 70B in bfloat16 (batches of 8 on one
# and four H200) comes to 0.54 and 0.47, NVIDIA's tables for TensorRT-LLM to 0.55 to 0.85.
# docs/performance.md has the numbers.
UTILISATION = 0.5
# Tokens of texts that are not counted yet; our own choices. Questions of NaturalReasoning have 55
# words, those of benchmarks options as well, labels are short JSON.
QUESTION_TOKENS, PROMPT_TOKENS, ANSWER_TOKENS, LABEL_TOKENS = 80, 250, 500, 64
_TOKEN = "word"  # four letters, of which English has some a token
_CACHE_BYTES = 2 * 2  # keys and values, in bfloat16


@dataclass(frozen=True)
class Workload:
    """The texts that a job reads and writes: their number, and the tokens of one."""

    count: float
    prompt_tokens: float
    new_tokens: float  # 0: it only reads


@dataclass(frozen=True)
class JobModel:
    """The model of a job, and its resources."""

    kind: str  # section of the catalogue
    name: str
    entry: Student | Teacher | Annotator
    machines: EngineRuntime

    @property
    def engine(self) -> str | None:
        """Return its engine; None for a kind of annotator that runs its model itself."""
        return self.entry.engine

    @property
    def most_tokens(self) -> int:
        """Return the most tokens that it writes of one text."""
        return self.entry.sampling.max_tokens


def model_of(study: Study, run: Mapping[str, str]) -> JobModel:
    """Return the model of a job by its wildcards."""
    if "student" in run:
        student = study.students[run["student"]]
        return JobModel("students", run["student"], student, student.runtime.generation)
    if "annotator" in run:
        annotator = study.annotators[run["annotator"]]
        if annotator.student is not None:
            own = study.students[annotator.student]
            return JobModel("students", annotator.student, own, annotator.runtime)
        return JobModel("annotators", run["annotator"], annotator, annotator.runtime)
    teacher = study.teachers[run["teacher"]]
    return JobModel("teachers", run["teacher"], teacher, teacher.runtime)


class PastAnswers:
    """The lengths and speeds of students' answers in finished evaluations."""

    def __init__(self, folder: Path) -> None:
        """Read nothing yet.

        Args:
            folder: folder of results and timings.
        """
        self._folder, self._scores = folder, folder / layout.SCORE.partition("/{")[0]
        self._found: dict[str, list[tuple[Path, float, float]]] = {}

    def mean_tokens(self, run: Mapping[str, str]) -> float | None:
        """Return the mean of this student's answers to the same benchmark in the same mode.

        Those of the untrained student apply only to itself.
        """
        file, is_trained = f"{run['mode']}.json", run["subset"] != "none"
        means = [
            tokens
            for path, tokens, _ in self._of(run["student"])
            if (path.parent.name, path.name) == (run["benchmark"], file)
            and (path.parts[1] != "none") == is_trained
        ]
        return sum(means) / len(means) if means else None

    def seconds_per_token(self, student: str) -> float | None:
        """Return the time of a token in this student's jobs, including loading."""
        seconds, tokens = 0.0, 0.0
        for path, mean, count in self._of(student):
            place = (self._folder / "timings" / "sample_answers" / path).parent
            timings = [
                place / name.replace(".samples", "").replace(".parquet", ".jsonl")
                for name in layout.samples_of(self._scores / path)
            ]
            if all(timing.is_file() for timing in timings):
                tokens += mean * count
                for timing in timings:
                    seconds += float(json.loads(timing.read_text().splitlines()[-1])["s"])
        return seconds / tokens if tokens else None

    def _of(self, student: str) -> list[tuple[Path, float, float]]:
        """Return (path below the folder of all scores, mean tokens, answers) of each score."""
        if student not in self._found:
            self._found[student] = found = []
            for path in layout.artifacts(layout.SCORE, self._folder, student=student):
                score = _score(path)
                if score.get("mean_tokens"):
                    count = score["num_questions"] * score["repeats"]
                    found.append((path.relative_to(self._scores), score["mean_tokens"], count))
        return self._found[student]


def _score(path: Path) -> dict[str, float]:
    try:
        found: dict[str, float] = read_json(path)
    except json.JSONDecodeError:
        return {}  # it is rebuilt before it counts
    return found if "num_questions" in found else {}  # a manifest of samples


def workload_of(
    study: Study, rule: str, run: Mapping[str, str], folder: Path, answers: PastAnswers
) -> Workload:
    """Return what a job of a rule reads and writes.

    Raises:
        ValueError: it is not known; the message says what to do.
    """
    if rule == "sample_answers":
        found = _answers(study, run, answers)
        return replace(found, count=found.count / layout.shard_of(run.get("part", ""))[1])
    rows = rows_of(study, run["pool"], folder) / int(run["num_shards"])
    if rule == "annotate":
        return _labels(study, run, rows, mean_trace(folder, run["pool"], run["teacher"]))
    if rule == "annotate_questions":
        return _question_labels(study.annotators[run["annotator"]], rows)
    most = study.teachers[run["teacher"]].sampling.max_tokens
    return Workload(rows, QUESTION_TOKENS, min(EXAMPLE_TOKENS, most))


def _answers(study: Study, run: Mapping[str, str], answers: PastAnswers) -> Workload:
    name, student = run["benchmark"], study.students[run["student"]]
    count = expected_answers(study, name)
    if count is None:
        raise ValueError(f"give benchmarks.{name} its `expected_questions`")
    expected = min(EXAMPLE_TOKENS, student.sampling.max_tokens)
    return Workload(count, PROMPT_TOKENS, answers.mean_tokens(run) or float(expected))


def expected_answers(study: Study, benchmark: str) -> int | None:
    """Return the answers of one run to a benchmark; None: not known before one has run."""
    questions = expected_questions(study, benchmark)
    return questions * study.benchmarks[benchmark].repeats if questions else None


def expected_questions(study: Study, benchmark: str) -> int | None:
    """Return the questions of a benchmark by the configuration alone; None: it does not say."""
    entry = study.benchmarks[benchmark]
    params = plugin("benchmarks", entry.kind).params(**entry.params)
    questions: int | None = getattr(params, "num_questions", None) or entry.expected_questions
    return questions


def _labels(study: Study, run: Mapping[str, str], rows: float, trace: float) -> Workload:
    """Return an annotator's prompts: its own text around a trace of the mean length."""
    name = run["annotator"]
    entry = study.annotators[name]
    asker, _ = labeller(entry.kind, entry.engine is not None)
    if isinstance(asker, StudentAnnotator):
        return Workload(rows, QUESTION_TOKENS + trace, 0)
    if not isinstance(asker, Asker):
        raise ValueError(f"the work of kind {entry.kind} of annotators.{name} is not known")
    answer = _TOKEN * ANSWER_TOKENS
    reasoning = _TOKEN * max(0, round(trace) - ANSWER_TOKENS)
    shown = Example("", _TOKEN * QUESTION_TOKENS, answer, answer, reasoning, answer, round(trace))
    new = min(LABEL_TOKENS, entry.sampling.max_tokens)
    return Workload(rows, len(asker.ask.prompt(shown)) / len(_TOKEN), new)


def _question_labels(entry: Annotator, rows: float) -> Workload:
    """Return the questions of an annotator, and a student's answers to them if it goes by these."""
    if not samples_student(entry.kind):
        return Workload(rows, QUESTION_TOKENS, 0)
    answers = plugin("annotators", entry.kind).params(**entry.params).answers
    return Workload(rows * answers, QUESTION_TOKENS, min(EXAMPLE_TOKENS, entry.sampling.max_tokens))


def rows_of(study: Study, pool: str, folder: Path) -> float:
    """Return the rows of a pool: counted, or otherwise expected.

    Raises:
        ValueError: neither is known; the message says what to do.
    """
    manifest = layout.artifact(layout.POOL, folder, pool=pool)
    if manifest.exists():
        counted = read_json(manifest)
        return float(counted.get("prompts", counted["kept"]))
    rows = expected_rows(study, pool)
    if rows is None:
        raise ValueError(f"give pools.{pool} its `expected_rows`, or ingest it (stage prompts)")
    return float(rows)


def expected_rows(study: Study, pool: str) -> int | None:
    """Return the rows of a pool by the configuration alone; None: it does not say."""
    entry = study.pools[pool]
    params = plugin("pools", entry.kind).params(**entry.params)
    rows: int | None = getattr(params, "num_rows", None) or entry.expected_rows
    return rows * entry.samples if rows else None


def generation_cost(
    writer: JobModel, texts: Workload, folder: Path, gpu: str, answers: PastAnswers
) -> Cost:
    """Return the GPU time of a job.

    Raises:
        ValueError: its model, or the GPU, is not known.
    """
    tokens = texts.count * texts.new_tokens
    if writer.kind == "students" and tokens and (each := answers.seconds_per_token(writer.name)):
        return Cost(tokens, tokens * each * writer.machines.gpu, "measured speed")
    if writer.engine == "vllm" and tokens and (speeds := speeds_of(writer.entry)):
        return Cost(tokens, tokens / speeds[0].tokens_per_second, "published speed")
    shape = shape_of(writer.entry, writer.name, folder, writer.kind)
    machines = writer.machines
    if writer.engine == "vllm":
        return Cost(tokens, gpu_seconds(shape, texts, machines, gpu), "arithmetic")
    # The others use only the first GPU, and a batch waits for its longest answer.
    alone = machines.model_copy(update={"gpu": 1})
    longest = replace(texts, new_tokens=writer.most_tokens if texts.new_tokens else 0)
    return Cost(tokens, machines.gpu * gpu_seconds(shape, longest, alone, gpu), "arithmetic")


def gpu_seconds(shape: Shape, texts: Workload, machines: EngineRuntime, gpu: str) -> float:
    """Return the seconds of texts by a model in bfloat16, over all its GPUs, by arithmetic.

    As many texts are written at the same time as the cache has room for, at most `batch`.

    Raises:
        ValueError: the GPU is not known.
    """
    known = gpu_of(gpu)
    peak = known.peak("bfloat16") if known else None
    if known is None or peak is None:
        raise ValueError(unknown_gpu(gpu))
    weights = 2 * shape.num_parameters
    context = texts.prompt_tokens + texts.new_tokens / 2  # on average, while it is written
    cache = _CACHE_BYTES * shape.num_hidden_layers * shape.key_width * context
    room = machines.gpu * known.memory * machines.gpu_memory_percent / 100 - weights
    batch = max(1.0, min(machines.batch, room / cache))
    # A third of training's; a text's last token sees all of it, and the mean one half.
    written = (weights / batch + cache) / known.bandwidth + shape.flops_per_token(
        2 * context
    ) / 3 / peak
    read = shape.flops_per_token(texts.prompt_tokens) / 3 / peak
    each = texts.new_tokens * written + texts.prompt_tokens * read
    return texts.count * each / UTILISATION
