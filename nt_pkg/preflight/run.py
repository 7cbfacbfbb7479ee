"""Asks Slurm, Snakemake and the file systems, with a limit on every answer, and has it judged."""

import os
import re
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from nt_pkg.preflight import (
    cluster,
    disk,
    fit,
    limits,
    machine,
    memory,
    names,
    parse,
    probe,
    requests,
    storage,
    study,
)
from nt_pkg.preflight.ask import SECONDS, ask, execute, facts_of
from nt_pkg.preflight.facts import PLACEHOLDER, Answer, Cluster, Finding, Request
from nt_pkg.preflight.profile import Profile, find_profile, read_profile, shown
from nt_pkg.snakemake_io.arguments import read_command_line
from nt_pkg.snakemake_io.dry_run import planned_jobs
from nt_pkg.snakemake_io.events import asking, environment, events_in
from nt_pkg.snakemake_io.stages import STAGES

_DRY_RUN_SECONDS = 300.0
_STORAGE_SECONDS = 20.0
_NUM_TESTS = 24  # requests that sbatch is asked about


@dataclass(frozen=True)
class Options:
    """What to check."""

    root: Path  # of the project
    folder: Path  # of the results
    profile: str
    configfiles: tuple[Path, ...] = ()  # none: the profile names the study
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
        asked = ask(pool)
        here = machine.this_machine(options.root)
        measured = _measure([options.folder, *_scratch(profile)])
        facts = facts_of(asked)
        found += machine.environment(here)
        found += machine.inside_job(here)
        if "SLURM_CONF" in here.environment:
            without = execute(["env", "-u", "SLURM_CONF", "sinfo", "-h", "-o", "%P"])
            found += machine.moved_configuration(here, without)
        found += _cluster_checks(asked, facts, profile)
        found += machine.limits(here, (facts.config or {}).get("PropagateResourceLimits"))
        asking, findings = _requests(planned.result(), options, profile)
        found += findings
        found += _request_checks(asked, facts, profile, asking, pool)
    found += disk.speed(measured)
    found += _places(options, here, profile, asking)
    found += _study_checks(options, here, profile, asking, facts)
    return found


def dry_run(options: Options, profile: Path) -> Answer:
    """Return Snakemake's events of all jobs of the study, those that are done included."""
    # No hooks: a start would look for jobs that an earlier one left behind, and end them.
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


def _cluster_checks(
    asked: dict[str, Future[Answer]], facts: Cluster, profile: Profile
) -> list[Finding]:
    there = {name: shutil.which(name) is not None for name in cluster.COMMANDS}
    found = cluster.commands(there)
    questions = ("scontrol show config", "scontrol show partition", "sinfo", "squeue")
    answers = {name: asked[name].result() for name in questions if there[name.split()[0]]}
    found += cluster.controller(answers) if answers else []
    if facts.config is not None:
        config = answers["scontrol show config"]
        # The clock is read here later than there, by what the other questions took.
        clock = parse.controller_time(config.out)
        if clock is not None and abs((clock - datetime.now()).total_seconds()) > SECONDS + 5:
            found += cluster.clock(clock, datetime.now())
    if there["sacct"]:
        found += cluster.accounting(facts, asked["sacct"].result(), profile)
    return found + names.placeholders(profile, facts)


def _request_checks(
    asked: dict[str, Future[Answer]],
    facts: Cluster,
    profile: Profile,
    asking: Sequence[Request],
    pool: ThreadPoolExecutor,
) -> list[Finding]:
    looked_up = asked["associations"].result()
    why = "" if looked_up.is_good or asked["sshare"].result().is_good else looked_up.why
    found = names.accounts(asking, facts, profile, why) if facts.config is not None else []
    found += names.names(asking, facts, profile)
    refused = {each.found for each in found if each.level == "FAIL"}
    later = requests.last_attempts(asking, profile)
    found += fit.fit([*asking, *later], facts, profile)
    found += limits.queue(asking, facts, profile)
    if facts.config is None or refused:
        return found
    good = [
        request
        for request in asking
        if PLACEHOLDER not in f"{request.partition}{request.account}{request.qos}"
        and not any(
            each.level == "FAIL" and each.found.startswith(f"{request.title}:") for each in found
        )
    ]
    return found + _test_only(good, profile, pool)


def _test_only(
    asking: Sequence[Request], profile: Profile, pool: ThreadPoolExecutor
) -> list[Finding]:
    """Ask sbatch about every different request, without submitting one."""
    rules: dict[tuple[str, ...], Request] = {}
    for request in asking:
        rules.setdefault(tuple(requests.sbatch_arguments(request, profile)), request)
    chosen = list(rules.items())[:_NUM_TESTS]
    base = ["sbatch", "--test-only", "--wrap=true"]
    answers = list(pool.map(lambda each: execute([*base, *each[0]]), chosen))
    found, num_accepted = [], 0
    for (arguments, request), answer in zip(chosen, answers, strict=True):
        if answer.is_good:
            num_accepted += 1
            continue
        lines = [line for line in answer.error.splitlines() if line.strip()]
        why = re.sub(r"^(sbatch: )?(error: )?", "", lines[-1]) if lines else answer.why
        is_passing = answer.status is None or re.search(r"busy|timed out|contact|Drain", why)
        found.append(
            Finding(
                "warn" if is_passing else "FAIL",
                "sbatch --test-only",
                f"{request.title}: {why}",
                f"edit set-resources.{request.rule} in {shown(profile.path)}; try: "
                f"{' '.join([*base, *arguments])}",
            )
        )
    if num_accepted:
        text = f"{num_accepted} different requests are accepted"
        text += f"; {len(rules) - len(chosen)} not asked" if len(rules) > len(chosen) else ""
        found.insert(0, Finding("ok", "sbatch --test-only", text))
    return found


def _requests(
    planned: Answer, options: Options, profile: Profile
) -> tuple[list[Request], list[Finding]]:
    """Return what the study asks for, and what is to be said of the dry run."""
    files = [options.root / "Snakefile", *sorted((options.root / "rules").glob("*.smk"))]
    texts = [file.read_text() for file in files if file.exists()]
    local, own = requests.local_rules(texts), requests.own_resources(texts)
    if planned.is_good:
        asking = requests.from_jobs(planned_jobs(list(events_in(planned.out))), local, own)
        jobs = sum(request.num_jobs for request in asking)
        text = f"{jobs} jobs for Slurm, planned in {planned.seconds:.0f} s"
        return asking, [Finding("ok", "dry run", text)]
    lines = [line.strip() for line in f"{planned.out}\n{planned.error}".splitlines()]
    telling = [n for n, line in enumerate(lines) if re.search(r"[Ee]rror\b|Exception", line)]
    why = " ".join(line for line in lines[telling[0] if telling else -4 :] if line)[:400]
    rules = [rule for rule in STAGES if rule not in local]
    text = f"Snakemake's dry run failed, so resources were taken from the profile alone: {why}"
    study = "".join(f" --configfile {each}" for each in options.configfiles)
    todo = f"mend this first: snakemake --profile {options.profile}{study} -n"
    return requests.from_profile(profile, rules), [Finding("FAIL", "dry run", text, todo)]


def _scratch(profile: Profile) -> list[Path]:
    """Return the folder for the progress of jobs, if the profile moves it."""
    place = profile.get("default-resources", "scratch")
    return [Path(os.path.expandvars(place)).expanduser().absolute()] if place else []


def _nearest(path: Path) -> Path:
    """Return a folder that is there: this one, or the nearest above it."""
    return next(p for p in [path, *path.parents] if p.exists())


def _measure(folders: Sequence[Path]) -> dict[Path, disk.Measured | None]:
    """Measure folders, in threads that may hang with their file system."""
    found: dict[Path, disk.Measured | None] = {_nearest(folder): None for folder in folders}

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
    options: Options, here: machine.Machine, profile: Profile, asking: Sequence[Request]
) -> list[Finding]:
    """Judge where things lie, with the help of a job if one was asked for."""
    places = {name: (options.folder / name).resolve() for name in options.folders}
    for scratch in _scratch(profile):
        places["scratch"] = scratch.resolve()
    places |= {"project": options.root.resolve(), "environment": here.prefix.resolve()}
    text = Path("/proc/self/mountinfo").read_text()
    if not options.probe:
        return storage.locality(places, storage.mounts(text))
    name = f"nt-preflight-{os.getpid()}"
    ready = [r for r in asking if PLACEHOLDER not in f"{r.partition}{r.account}{r.qos}"]
    # Partitions with GPUs may refuse a job without.
    first = max(ready, key=lambda each: (not each.has_gpu, each.num_jobs), default=None)
    srun = probe.command(first, profile, name)
    # Folders that are not there yet are judged by the nearest one that is.
    nearest = {label: _nearest(path) for label, path in places.items()}
    paths = sorted(set(nearest.values()))
    folder = nearest[options.folders[0]] if options.folders else options.folder
    try:
        probed = probe.probe(srun, folder, sys.executable, paths, name)
    except OSError as error:
        probed = probe.Probed(Answer(1, "", str(error)))
    found = probe.judge(probed, nearest, profile)
    works = probed.could_read and probed.visible_seconds is not None
    seen = {label for label, path in nearest.items() if str(path) in probed.seen and works}
    return found + storage.locality(places, storage.mounts(text), frozenset(seen))


def _study_checks(
    options: Options,
    here: machine.Machine,
    profile: Profile,
    asking: Sequence[Request],
    facts: Cluster,
) -> list[Finding]:
    files = options.configfiles or _named_by(profile)
    checked, found = study.configuration(files)
    if checked is None:
        return found
    found = [*found, *memory.judge(checked, options.folder, asking, facts)]
    found += study.keys(checked, here.environment)
    try:
        return found + study.assets(checked, options.folder, files, here.environment)
    except (ValueError, OSError) as error:
        return [*found, Finding("FAIL", "assets", str(error), "edit the configuration")]


def _named_by(profile: Profile) -> tuple[Path, ...]:
    """Return the files of the study that a profile names."""
    try:
        return read_command_line(["--profile", str(profile.path)]).configfiles
    except SystemExit:  # Snakemake refuses the profile, which the dry run has said
        return ()


def _not_found_by_snakemake(name: str, path: Path) -> Finding:
    return Finding(
        "warn",
        "profile",
        f"`snakemake --profile {name}` does not find {shown(path)} from here",
        f"say --profile {shown(path.parent)}, or start in the project's folder",
    )
