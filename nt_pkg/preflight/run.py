"""Asks Slurm, Snakemake and the file systems, with time limits, and judges the answers."""

import os
import re
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from nt_pkg.config.study import Study
from nt_pkg.cost import disk as cost
from nt_pkg.cost.disk import Size
from nt_pkg.preflight import (
    cluster,
    disk,
    gpus,
    limits,
    machine,
    memory,
    power,
    probe,
    requests,
    sbatch,
    storage,
    study,
)
from nt_pkg.preflight.ask import ask, execute, facts_of
from nt_pkg.preflight.facts import Answer, Cluster, Finding, SlurmRequest
from nt_pkg.preflight.profile import Profile, find_profile, read_profile, shown
from nt_pkg.snakemake_io.arguments import read_command_line
from nt_pkg.snakemake_io.dry_run import Job, planned_jobs
from nt_pkg.snakemake_io.events import asking, environment, events_in

_DRY_RUN_SECONDS = 300.0
_STORAGE_SECONDS = 20.0


@dataclass(frozen=True)
class Options:
    """What to check."""

    root: Path  # of the project
    folder: Path  # of the results
    profile: str
    configfiles: tuple[Path, ...] = ()  # empty: the profile names the study
    folders: tuple[str, ...] = ()  # names below `folder` that jobs write to
    probe: bool = False


def preflight(
    options: Options, plan: Callable[[Options, Path], Answer] | None = None
) -> list[Finding]:
    """Return all findings.

    Args:
        options: what to check.
        plan: makes a dry run; by default Snakemake's.
    """
    try:
        path, is_found = find_profile(options.profile, options.root, Path.cwd())
        profile = read_profile(path)
    except ValueError as error:
        return [Finding("FAIL", "profile", str(error))]
    found = [] if is_found else [_not_found_by_snakemake(options.profile, path)]
    with ThreadPoolExecutor(8) as pool:
        planned = pool.submit(plan or dry_run, options, path)
        said = ask(pool)
        here = machine.this_machine(options.root)
        measured = _measure([options.folder, *_places_of(options, profile).values()])
        facts = facts_of(said)
        found += machine.environment(here)
        found += machine.inside_job(here)
        if "SLURM_CONF" in here.environment:
            without = execute(["env", "-u", "SLURM_CONF", "sinfo", "-h", "-o", "%P"])
            found += machine.moved_configuration(here, without)
        found += _cluster_checks(said, facts, profile)
        found += machine.limits(here, (facts.config or {}).get("PropagateResourceLimits"))
        jobs, asking, findings = _requests(planned.result(), options)
        found += findings
        found += _request_checks(said, facts, profile, asking, pool)
    found += disk.speed(measured)
    found += _places(options, here, profile, asking)
    checked, findings = study.configuration(options.configfiles or _named_by(profile))
    found += disk.space(measured, _needs(options, profile, checked, jobs, measured))
    return [*found, *findings, *_study_checks(options, here, profile, checked, asking, facts, jobs)]


def dry_run(options: Options, profile: Path) -> Answer:
    """Return Snakemake's events of all jobs of the study, including finished ones."""
    # No hooks: a real start would look for jobs left by an earlier one, and end them.
    arguments = ["-n", "--forceall", "--nocolor", "--no-hooks"]
    arguments += ["-s", str(options.root / "Snakefile"), "--directory", str(options.folder)]
    arguments += ["--profile", str(profile.absolute())]
    if options.configfiles:
        arguments += ["--configfile", *(str(each.absolute()) for each in options.configfiles)]
    with tempfile.TemporaryDirectory(prefix="nt-") as folder:
        path = Path(folder, "events.jsonl")
        command = ["env", f"PYTHONPATH={environment(os.environ)['PYTHONPATH']}", sys.executable]
        command += ["-m", "snakemake", *asking([*arguments, "--", "all"], path)]
        answer = execute(command, _DRY_RUN_SECONDS)
        return replace(answer, out=path.read_text()) if answer.is_good else answer


def _cluster_checks(said: Mapping[str, Answer], facts: Cluster, profile: Profile) -> list[Finding]:
    there = {name: shutil.which(name) is not None for name in cluster.COMMANDS}
    found = cluster.commands(there)
    questions = ("scontrol show config", "scontrol show partition", "sinfo", "squeue")
    answers = {name: said[name] for name in questions if there[name.split()[0]]}
    found += cluster.controller(answers) if answers else []
    if there["sacct"]:
        found += cluster.accounting(facts, said["sacct"], profile)
    return found + cluster.placeholders(profile, facts)


def _request_checks(
    said: Mapping[str, Answer],
    facts: Cluster,
    profile: Profile,
    asking: Sequence[SlurmRequest],
    pool: Executor,
) -> list[Finding]:
    """Judge accounts, let Slurm judge every request, and add what it does not say."""
    if facts.config is None:
        return []
    why = "" if said["associations"].is_good or said["sshare"].is_good else said["associations"].why
    found = limits.accounts(asking, facts, profile, why)
    ready = [request for request in asking if request.is_ready]
    if any(each.level == "FAIL" for each in found):
        # Slurm would only repeat this.
        ready = [request.without("slurm_account") for request in ready]
    if shutil.which("sbatch"):
        first, accepted = _ask_slurm(ready, facts, profile, pool)
        later, _ = _ask_slurm(requests.last_attempts(accepted, profile), facts, profile, pool)
        found += [*first, *later]
    return found + limits.queue(asking, facts, profile)


def _ask_slurm(
    asking: Sequence[SlurmRequest], facts: Cluster, profile: Profile, pool: Executor
) -> tuple[list[Finding], list[SlurmRequest]]:
    """Return the findings of Slurm and its limits on some requests, and those that can run."""
    answers, found = sbatch.ask_about(asking, profile, pool)
    taken = [each for answer in answers if answer.answer.is_good for each in answer.requests]
    waiting = limits.never_starting(taken, answers, facts, profile)
    titles = {each.found.partition(": ")[0] for each in waiting}
    found += [*sbatch.refusals(answers, facts, profile, pool), *waiting]
    return found, [each for each in taken if each.title not in titles]


def _requests(
    planned: Answer, options: Options
) -> tuple[list[Job], list[SlurmRequest], list[Finding]]:
    """Return the jobs of the study, what they request, and the findings of the dry run."""
    files = [options.root / "Snakefile", *sorted((options.root / "rules").glob("*.smk"))]
    texts = [file.read_text() for file in files if file.exists()]
    if planned.is_good:
        jobs = planned_jobs(list(events_in(planned.out)))
        local, own = requests.local_rules(texts), requests.own_resources(texts)
        asking = requests.from_jobs(jobs, local, own)
        num_jobs = sum(request.num_jobs for request in asking)
        text = f"{num_jobs} jobs for Slurm, planned in {planned.seconds:.0f} s"
        return jobs, asking, [Finding("ok", "dry run", text)]
    lines = [line.strip() for line in f"{planned.out}\n{planned.error}".splitlines()]
    telling = [n for n, line in enumerate(lines) if re.search(r"[Ee]rror\b|Exception", line)]
    why = " ".join(line for line in lines[telling[0] if telling else -4 :] if line)[:400]
    text = f"Snakemake's dry run failed, so no job was checked: {why}"
    named = "".join(f" --configfile {each}" for each in options.configfiles)
    todo = f"fix this and start again: snakemake --profile {options.profile}{named} -n"
    return [], [], [Finding("FAIL", "dry run", text, todo)]


def _scratch(profile: Profile) -> list[Path]:
    """Return the folder for the progress of jobs, if the profile moves it."""
    place = profile.get("default-resources", "scratch")
    return [Path(os.path.expandvars(place)).expanduser().absolute()] if place else []


def _places_of(options: Options, profile: Profile) -> dict[str, Path]:
    """Return the folders that jobs write to, by name; what is in progress may be elsewhere."""
    places = {name: options.folder / name for name in options.folders}
    if scratch := _scratch(profile):
        places["work"] = scratch[0]
    return places


def _needs(
    options: Options,
    profile: Profile,
    checked: Study | None,
    jobs: Sequence[Job],
    measured: Mapping[Path, disk.Measured | None],
) -> dict[Path, Size]:
    """Return what the jobs that are not done need, by measured file system."""
    if checked is None:
        return {}
    left = [
        job for job in jobs if not all((options.folder / each).exists() for each in job.outputs)
    ]
    needed, places = cost.needed(left, checked, options.folder), _places_of(options, profile)
    on = {_device(folder): folder for folder, each in measured.items() if each}
    found: dict[Path, Size] = {}
    for name in {key[0] for key in needed.found}:
        place = on.get(_device(_nearest(places.get(name, options.folder))))
        if place is not None:
            found[place] = found.get(place, Size()) + needed.within(name)
    return found


def _device(folder: Path) -> int:
    return folder.stat().st_dev


def _nearest(path: Path) -> Path:
    """Return an existing folder: this one, or the nearest above it."""
    return next(p for p in [path, *path.parents] if p.exists())


def _measure(folders: Sequence[Path]) -> dict[Path, disk.Measured | None]:
    """Measure folders, in threads that may hang with their file system."""
    places = [_nearest(folder).resolve() for folder in folders]
    # One of each file system.
    first = {_device(place): place for place in reversed(places)}
    found: dict[Path, disk.Measured | None] = dict.fromkeys(first.values())

    def work(place: Path) -> None:
        found[place] = disk.measure(place)

    threads = [threading.Thread(target=work, args=(each,), daemon=True) for each in list(found)]
    deadline = time.monotonic() + _STORAGE_SECONDS
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return dict(found)


def _places(
    options: Options, here: machine.Machine, profile: Profile, asking: Sequence[SlurmRequest]
) -> list[Finding]:
    """Judge the storage, with the help of a job if asked to."""
    places = {name: (options.folder / name).resolve() for name in options.folders}
    for scratch in _scratch(profile):
        places["scratch"] = scratch.resolve()
    places |= {"project": options.root.resolve(), "environment": here.prefix.resolve()}
    text = Path("/proc/self/mountinfo").read_text()
    if not options.probe:
        return storage.locality(places, storage.mounts(text))
    name = f"nt-preflight-{os.getpid()}"
    ready = [request for request in asking if request.is_ready]
    # Partitions with GPUs may refuse a job without GPUs.
    first = max(ready, key=lambda each: (not each.gpus, each.num_jobs), default=None)
    srun = probe.command(first, profile, name)
    # A folder that does not exist yet is judged by the nearest existing one.
    nearest = {label: _nearest(path) for label, path in places.items()}
    paths = sorted(set(nearest.values()))
    folder = nearest[options.folders[0]] if options.folders else options.folder
    try:
        probed = probe.probe(srun, folder, sys.executable, paths, name)
    except OSError as error:
        probed = probe.Probed(Answer(1, "", str(error)))
    found = probe.seen_by_node(probed, nearest, profile)
    works = probed.could_read and probed.visible_seconds is not None
    seen = {label for label, path in nearest.items() if str(path) in probed.seen and works}
    return found + storage.locality(places, storage.mounts(text), frozenset(seen))


def _study_checks(
    options: Options,
    here: machine.Machine,
    profile: Profile,
    checked: Study | None,
    asking: Sequence[SlurmRequest],
    facts: Cluster,
    jobs: Sequence[Job],
) -> list[Finding]:
    if checked is None:
        return []
    files = options.configfiles or _named_by(profile)
    found = _gpu_nodes(checked, profile, asking) if options.probe else []
    found += memory.fit_in_gpus(checked, options.folder, asking, facts)
    found += study.positions(checked, options.folder)
    found += study.keys(checked, here.environment)
    found += power.power(checked, options.folder, jobs)
    try:
        return found + study.assets(checked, options.folder, files, here.environment)
    except (ValueError, OSError) as error:
        return [*found, Finding("FAIL", "assets", str(error), "edit the configuration")]


def _gpu_nodes(checked: Study, profile: Profile, asking: Sequence[SlurmRequest]) -> list[Finding]:
    """Judge a node of each kind with GPUs, by a job on it."""
    found: list[Finding] = []
    for kind in gpus.kinds(asking, checked):
        name = f"nt-preflight-gpu-{os.getpid()}"
        found += gpus.judge(gpus.ask_node(kind, profile, sys.executable, name), kind)
    return found


def _named_by(profile: Profile) -> tuple[Path, ...]:
    """Return the files of the study that a profile names."""
    try:
        named = read_command_line(["--profile", str(profile.path)]).configfiles
    except SystemExit:  # Snakemake rejects the profile; the dry run has reported it
        return ()
    # A profile names its file as `profiles/slurm/../../config/demo.yaml`.
    return tuple(each.parent.resolve() / each.name for each in named)


def _not_found_by_snakemake(name: str, path: Path) -> Finding:
    return Finding(
        "warn",
        "profile",
        f"`snakemake --profile {name}` does not find {shown(path)} from here",
        f"use --profile {shown(path.parent)}, or start in the project's folder",
    )
