"""GPU-hours of the jobs of a plan: timed, or from the speed of finished jobs, or arithmetic."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nt_pkg.config.study import Study
from nt_pkg.cost.generation import PastAnswers, Workload, generation_cost, model_of, workload_of
from nt_pkg.cost.hardware import unknown_gpu
from nt_pkg.cost.training import Cost, Need, need, training_cost
from nt_pkg.snakemake_io.dry_run import Job, gpu_type
from nt_pkg.snakemake_io.stages import STAGES
from nt_pkg.snakemake_io.timings import Timings

ASSUMED_GPU = "h100"  # if the profile names no type
# Jobs that write text; without GPUs of their own, they may ask a server that has some.
OF_TEXT = ("generate_traces", "annotate", "annotate_questions", "sample_answers")


@dataclass(frozen=True)
class Forecast:
    """The estimated GPU time of a job."""

    gpu_seconds: float | None  # None: it is not known
    basis: str  # the source of the number, or why there is none
    cost: Cost | None = None  # of a training


class Forecasts:
    """Forecasts for the jobs of a plan that ask for GPUs, or ask a server for text.

    Attributes:
        jobs: those that request GPUs.
        is_assumed: whether some of them request GPUs without a type.
        needs: student -> its trainings' GPU memory, or why that is not known.
    """

    def __init__(self, jobs: Sequence[Job], study: Study, timings: Timings, folder: Path) -> None:
        """Make all of them.

        Args:
            jobs: the jobs of the dry run.
            study: the checked study.
            timings: what jobs took before.
            folder: folder of results and assets.
        """
        self._study, self._timings, self._folder = study, timings, folder
        self._answers = PastAnswers(folder)
        self.needs: dict[str, Need | str] = {}
        self.jobs = [job for job in jobs if job.gpus]
        self.is_assumed = any(gpu_type(job.resources) is None for job in self.jobs)
        self._by_job = {id(job): self._forecast(job) for job in self.jobs}
        self._served = self._ask_servers(jobs)

    def of(self, job: Job) -> Forecast:
        """Return the forecast for a job with GPUs."""
        return self._by_job[id(job)]

    def hours(self, jobs: Iterable[Job]) -> float:
        """Return the GPU-hours of some jobs, if known."""
        return sum(self.of(job).gpu_seconds or 0.0 for job in jobs) / 3600

    def hours_of_a_seed(self) -> dict[tuple[str, str, str], float]:
        """Return the GPU-hours of one seed by student, subset and format, where all are known."""
        seeds: dict[tuple[str, str, str], set[str]] = defaultdict(set)
        found: dict[tuple[str, str, str], list[float | None]] = defaultdict(list)
        for job in self.jobs:
            run = job.wildcards
            if run.keys() >= {"student", "subset", "format", "seed"}:
                key = run["student"], run["subset"], run["format"]
                seeds[key].add(run["seed"])
                found[key].append(self.of(job).gpu_seconds)
        return {
            key: sum(filter(None, each)) / 3600 / len(seeds[key])
            for key, each in found.items()
            if None not in each
        }

    def _forecast(self, job: Job) -> Forecast:
        try:
            reckoned: Cost | str = self._cost(job)
        except ValueError as error:
            reckoned = str(error)
        costs = reckoned if isinstance(reckoned, Cost) else None
        for seconds in (self._timings.same(job), self._timings.shards(job)):
            if seconds is not None:
                return Forecast(job.gpus * seconds, "timed", costs)
        if costs:
            return Forecast(costs.gpu_seconds, costs.basis, costs)
        if (seconds := self._timings.estimate(job)) is not None:
            return Forecast(job.gpus * seconds, "mean of its rule")
        return Forecast(None, str(reckoned))

    def _cost(self, job: Job) -> Cost:
        """Return what a job would take.

        Raises:
            ValueError: it is not known.
        """
        gpu = gpu_type(job.resources) or ASSUMED_GPU
        if job.rule == "train":
            needed = self._need(job.wildcards["student"], gpu)
            if isinstance(needed, str):
                raise ValueError(needed)
            if found := training_cost(self._study, job.wildcards, self._folder, needed):
                return found
            raise ValueError(unknown_gpu(gpu))
        if job.rule not in OF_TEXT:
            raise ValueError(f"the work of rule {job.rule} is not known")
        writer = model_of(self._study, job.wildcards)
        return generation_cost(writer, self._texts(job), self._folder, gpu, self._answers)

    def _need(self, student: str, gpu: str) -> Need | str:
        if student not in self.needs:
            try:
                self.needs[student] = need(self._study, student, self._folder, gpu)
            except ValueError as error:
                self.needs[student] = str(error)
        return self.needs[student]

    def table(self) -> list[str]:
        """Return GPU-hours by stage and by model; nothing without GPUs and servers."""
        if not self.jobs and not self._served:
            return []
        gpus = (
            f"as if all GPUs were {ASSUMED_GPU.upper()}: the profile names no gpu_type"
            if self.is_assumed
            else "of the types that the profile names"
        )
        lines = [f"GPU-hours, {gpus}", _line("", "jobs", "GPUs", "forecast", "asked for", "basis")]
        groups: dict[str, dict[str, list[Job]]] = defaultdict(lambda: defaultdict(list))
        for job in self.jobs:
            groups[STAGES[job.rule]][model_name(job)].append(job)
        for stage in dict.fromkeys(STAGES.values()):
            if models := groups.get(stage):
                lines.append(self._row(stage, [job for jobs in models.values() for job in jobs]))
                lines += [
                    self._row(f"  {model}", jobs, self._basis(jobs))
                    for model, jobs in sorted(models.items())
                ]
            elif any(stage == each for each, _ in self._served):
                lines.append(_line(stage, "-", "-", "-", "-", "a server's, see below"))
        return [*lines, self._row("all", self.jobs)] if self.jobs else lines

    def _row(self, name: str, jobs: Sequence[Job], basis: str = "") -> str:
        each = sorted({job.gpus for job in jobs})
        known = any(self.of(job).gpu_seconds is not None for job in jobs)
        asked = [_asked(job) for job in jobs]
        return _line(
            name,
            f"{len(jobs):,}",
            "-".join(map(str, dict.fromkeys((each[0], each[-1])))),
            hours_text(self.hours(jobs)) if known else "?",
            hours_text(sum(filter(None, asked)) / 3600) if any(asked) else "?",
            basis,
        )

    def _basis(self, jobs: Sequence[Job]) -> str:
        found = Counter(
            "not known" if self.of(job).gpu_seconds is None else self.of(job).basis for job in jobs
        )
        words = [next(iter(found))] if len(found) == 1 else [f"{n} {b}" for b, n in found.items()]
        late = sum((self.of(job).gpu_seconds or 0) > (_asked(job) or float("inf")) for job in jobs)
        return ", ".join([*words, *([f"{late} longer than asked for"] if late else [])])

    def notes(self) -> list[str]:
        """Return notes on what the table contains."""
        bases, lines = {each.basis for each in self._by_job.values()}, []
        if "arithmetic" in bases:
            lines += [
                "arithmetic: estimated, not measured; without loading of models and failed jobs",
                "asked for: GPUs x time limit, once; a longer training continues in another job",
            ]
        if "published speed" in bases:
            lines.append("published speed: the slowest that others have measured, see below")
        unknown = {each.basis for each in self._by_job.values() if each.gpu_seconds is None}
        lines += [f"no forecast: {reason}" for reason in sorted(unknown - {*self.needs.values()})]
        return lines + [
            f"{stage} by {model}: {each[0]:,.0f} requests to a server, whose GPUs are not in this "
            f"table; it reads {each[1] / 1e6:,.0f} and writes {each[2] / 1e6:,.0f} million tokens"
            for (stage, model), each in self._served.items()
        ]

    def _ask_servers(self, jobs: Iterable[Job]) -> dict[tuple[str, str], list[float]]:
        """Return (stage, model) -> requests to its server, tokens to read and to write."""
        found: dict[tuple[str, str], list[float]] = {}
        for job in jobs:
            if job.rule not in OF_TEXT or model_of(self._study, job.wildcards).engine != "openai":
                continue
            try:
                texts = self._texts(job)
            except ValueError:
                continue
            sums = found.setdefault((STAGES[job.rule], model_name(job)), [0.0, 0.0, 0.0])
            for at, tokens in enumerate((1.0, texts.prompt_tokens, texts.new_tokens)):
                sums[at] += texts.count * tokens
        return found

    def _texts(self, job: Job) -> Workload:
        return workload_of(self._study, job.rule, job.wildcards, self._folder, self._answers)


def hours_text(hours: float) -> str:
    """Return GPU-hours with a suitable number of digits."""
    digits = 0 if hours >= 100 else 1 if hours >= 1 else 2
    return f"{hours:,.{digits}f}"


def model_name(job: Job) -> str:
    """Return the name of the model that a job runs, or its rule."""
    run = job.wildcards
    return run.get("student") or run.get("annotator") or run.get("teacher") or job.rule


def _asked(job: Job) -> float | None:
    """Return the GPU-seconds that a job requests."""
    minutes = job.resources.get("runtime", "")
    return job.gpus * 60.0 * int(minutes) if minutes.isdecimal() else None


def _line(name: str, jobs: str, gpus: str, hours: str, asked: str, basis: str) -> str:
    return f"{name:24} {jobs:>5} {gpus:>5} {hours:>9} {asked:>9}  {basis}".rstrip()
