"""GPU-hours of a plan as a range, with the loading of models.

A forecast that nobody measured is spread by what others measured: the best and the worst of the
published shares of a GPU's peak, and for some models the published tokens per second. Every start
of a job loads its model.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nt_pkg.config.study import Study
from nt_pkg.cost.decoder_shape import shape_of
from nt_pkg.cost.generation import UTILISATION, JobModel, PastAnswers, model_of, workload_of
from nt_pkg.cost.gpu_hours import OF_TEXT, Forecast, Forecasts, hours_text, model_name
from nt_pkg.cost.speeds import BYTES, Speed, speeds_of
from nt_pkg.cost.training import EXAMPLE_TOKENS, MFU
from nt_pkg.snakemake_io.dry_run import Job
from nt_pkg.snakemake_io.stages import STAGES

# Share of the GPU's peak, worst and best. torchtitan has 33 to 39 % for Llama-3.1-8B on H100; LLM
# Foundry (scripts/train/benchmarking/README.md at 061f2c7) 28.59 and 30.94 for 7B on eight H100
# with activation checkpointing and rows of 65,536 and 32,768 tokens.
MFU_RANGE = (0.2859, 0.39)
# Share of the least time for text, worst and best; docs/performance.md has the sources.
UTILISATION_RANGE = (0.47, 0.85)
LONG_ANSWER = 8_741  # tokens: the paper's student on GPQA-Diamond
# Of a model that is loaded: bytes a second, slow and quick, and seconds until the engine is ready.
# Our own choices: a parallel file system that many jobs read. A 70B takes 6 to 11 minutes.
LOAD_RATE, START_SECONDS = (0.25e9, 0.5e9), (120.0, 60.0)
_RECKONED = ("arithmetic", "published speed")  # bases of a forecast that nobody measured here
MOST_LOADING = 0.05  # share of loading above which the plan warns
_LONGER = {  # stage -> what makes its jobs longer
    "traces": "fewer `num_shards` of a pool",
    "annotations": "`rows_per_job` of the annotator, or fewer `num_shards` of a pool",
    "evals": "`generation_answers` of the student",
}


@dataclass(frozen=True)
class Hours:
    """GPU-hours of some jobs, least and most; `loading` is part of both."""

    low: float = 0.0
    high: float = 0.0
    loading: tuple[float, float] = (0.0, 0.0)

    def __add__(self, other: "Hours") -> "Hours":
        """Return the sum."""
        loading = (self.loading[0] + other.loading[0], self.loading[1] + other.loading[1])
        return Hours(self.low + other.low, self.high + other.high, loading)

    @property
    def share(self) -> float:
        """Return the share of loading, in the middle of the range."""
        total = self.low + self.high
        return sum(self.loading) / total if total else 0.0


def load_seconds(size: float) -> tuple[float, float]:
    """Return the least and most seconds to load a model of `size` bytes."""
    slow, quick = (
        start + size / rate for start, rate in zip(START_SECONDS, LOAD_RATE, strict=True)
    )
    return quick, slow


class Ranges:
    """The ranges of all jobs of a plan that use GPUs, their own or a server's."""

    def __init__(
        self, jobs: Iterable[Job], study: Study, forecasts: Forecasts, folder: Path
    ) -> None:
        """Estimate all of them.

        Args:
            jobs: the jobs of the dry run.
            study: the checked study.
            forecasts: of the same jobs.
            folder: folder of results and assets.
        """
        self._study, self._forecasts, self._folder = study, forecasts, folder
        self._answers = PastAnswers(folder)
        self.found: dict[tuple[str, str], Hours] = {}
        self._starts: dict[tuple[str, str], int] = defaultdict(int)
        self._sets: dict[tuple[str, str], set[str]] = defaultdict(set)
        for job in jobs:
            if hours := self._of(job):
                key = (STAGES[job.rule], model_name(job))
                self.found[key] = self.found.get(key, Hours()) + hours
                self._starts[key] += 1
                self._sets[key].add(_set_of(job))

    def _of(self, job: Job) -> Hours | None:
        writer = model_of(self._study, job.wildcards) if job.rule in OF_TEXT else None
        speeds = speeds_of(writer.entry) if writer else []
        forecast = self._forecasts.of(job) if job.gpus else Forecast(None, "no GPUs")
        is_timed = forecast.gpu_seconds is not None and forecast.basis not in _RECKONED
        if speeds and not is_timed and (by_speed := self._by_speed(job, speeds)):
            return by_speed
        if forecast.gpu_seconds is None:
            return None
        hours = forecast.gpu_seconds / 3600
        least, most = self._loading(job, writer)
        if is_timed:  # with loading
            return Hours(hours, hours, (min(least, hours), min(most, hours)))
        low, high = self._spread(job)
        return Hours(hours * low + least, hours * high + most, (least, most))

    def _by_speed(self, job: Job, speeds: Sequence[Speed]) -> Hours | None:
        try:
            texts = workload_of(self._study, job.rule, job.wildcards, self._folder, self._answers)
        except ValueError:
            return None
        high, low = (
            texts.count * texts.new_tokens / each.tokens_per_second / 3600
            for each in (speeds[0], speeds[-1])
        )
        # A server that is asked by jobs without GPUs is loaded by whoever runs it.
        least, most = (job.gpus * each / 3600 for each in load_seconds(BYTES[speeds[0].model]))
        return Hours(low + least, high + most, (least, most))

    def _spread(self, job: Job) -> tuple[float, float]:
        if job.rule == "train":
            worst, best = MFU_RANGE
            return MFU / best, MFU / worst
        worst, best = UTILISATION_RANGE
        longer = 1.0
        if job.rule == "sample_answers" and self._answers.mean_tokens(job.wildcards) is None:
            longer = LONG_ANSWER / EXAMPLE_TOKENS
        return UTILISATION / best, longer * UTILISATION / worst

    def _loading(self, job: Job, writer: JobModel | None) -> tuple[float, float]:
        if writer:
            kind, name, entry = writer.kind, writer.name, writer.entry
        elif job.rule == "train":
            kind, name = "students", job.wildcards["student"]
            entry = self._study.students[name]
        else:
            return 0.0, 0.0
        try:
            size = 2.0 * shape_of(entry, name, self._folder, kind).num_parameters
        except ValueError:
            return 0.0, 0.0
        least, most = load_seconds(size)
        return job.gpus * least / 3600, job.gpus * most / 3600

    def lines(self) -> list[str]:
        """Return the table: low, high and share of loading by stage and model, and warnings."""
        if not self.found:
            return []
        lines = ["GPU-hours as a range, with loading", _line("", "low", "high", "loading")]
        for stage in dict.fromkeys(STAGES.values()):
            mine = {name: hours for (at, name), hours in self.found.items() if at == stage}
            if mine:
                lines.append(_row(stage, sum(mine.values(), Hours())))
                lines += [_row(f"  {name}", hours) for name, hours in sorted(mine.items())]
        lines.append(_row("all", sum(self.found.values(), Hours())))
        lines += [
            self._warning(key) for key, hours in self.found.items() if hours.share > MOST_LOADING
        ]
        lines.append(
            "low to high: best and worst of published speeds (nt_pkg/cost/); high has "
            f"answers of {LONG_ANSWER:,} tokens until there are scores"
        )
        for name in sorted({name for stage, name in self.found if stage == "traces"}):
            lines += [
                f"{name}: {each.tokens_per_second:,.0f} tokens/s for each {each.gpu.upper()} "
                f"({each.engine}; {each.source})"
                for each in speeds_of(self._study.teachers[name])
            ]
        return lines

    def _warning(self, key: tuple[str, str]) -> str:
        """Return which jobs load for too much of their time, and whether that can be helped."""
        hours, starts, (stage, name) = self.found[key], self._starts[key], key
        text = f"{stage} by {name}: {hours.share:.0%} of the time loads the model, in {starts:,} "
        if starts > len(self._sets[key]):
            text += (
                f"starts of jobs; make them longer ({_LONGER[stage]}), or let a server load it once"
            )
            return f"WARNING {text}"
        spent = hours_text(sum(hours.loading) / 2)
        return f"note: {text}jobs on different data, {spent} GPU-hours of loading in all"


def _set_of(job: Job) -> str:
    """Return what a job is about, whichever shard of it."""
    return str({n: v for n, v in job.wildcards.items() if n not in ("shard", "num_shards", "part")})


def _row(name: str, hours: Hours) -> str:
    return _line(name, hours_text(hours.low), hours_text(hours.high), f"{hours.share:.1%}")


def _line(name: str, low: str, high: str, loading: str) -> str:
    return f"{name:24} {low:>9} {high:>9} {loading:>8}".rstrip()
