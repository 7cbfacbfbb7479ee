"""Why jobs would run, in terms of the study."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nt_pkg.plan.spec_diff import describe_differences
from nt_pkg.snakemake_io.dry_run import Job


def explain(job: Job, producers: Mapping[str, Job]) -> list[str]:
    """Return why a job would run, in plain words.

    Args:
        job: the job.
        producers: output path -> job, of the whole dry run.
    """
    why = job.reason
    if why.missing:  # the job runs anyway, so new inputs add no information
        return ["no output yet"]
    rules = {producers[path].rule for path in why.updated_by_job if path in producers}
    causes = {
        "forced": why.is_forced,
        "was interrupted": why.is_cut_off,
        "input edited or rebuilt": why.updated,
        "follows " + ", ".join(sorted(rules)): why.updated_by_job,
        "other set of inputs": why.is_input_set_changed,
        "command of the rule edited": why.is_command_changed,
    }
    found = [cause for cause, is_so in causes.items() if is_so]
    if why.old_params or why.new_params:
        found += _spec_changes(why.old_params, why.new_params)
    return [*found, "environment edited"] if why.is_environment_changed else found


def unneeded_if_equal(jobs: Sequence[Job]) -> list[Job]:
    """Return the jobs that are skipped if every checkpoint writes the same bytes as before.

    Snakemake re-evaluates what follows when a checkpoint has run. Its first output holds the
    result, the others say how it was made and change with its spec.
    """
    producers = by_output(jobs)
    found: dict[int, Job] = {}
    while True:
        new = {
            id(job): job
            for job in jobs
            if id(job) not in found and _only_through_checkpoints(job, producers, found)
        }
        if not new:
            return [job for job in jobs if id(job) in found]
        found.update(new)


def by_output(jobs: Iterable[Job]) -> dict[str, Job]:
    """Return output path -> the job that writes it."""
    return {path: job for job in jobs for path in job.outputs}


def _only_through_checkpoints(
    job: Job, producers: Mapping[str, Job], unneeded: Mapping[int, Job]
) -> bool:
    paths = job.reason.updated_by_job
    if not paths or job.is_checkpoint or job.reason != type(job.reason)(updated_by_job=paths):
        return False
    for path in paths:
        producer = producers.get(path)
        if producer is None:
            return False
        may_stay = producer.is_checkpoint and path == producer.outputs[0]
        if not may_stay and id(producer) not in unneeded:
            return False
    return True


def _spec_changes(before: Sequence[str], now: Sequence[str]) -> list[str]:
    """Return `key: old -> new` for every key of a spec that changed."""
    old, new = _specs(before), _specs(now)
    if len(old) != 1 or len(new) != 1:
        return ["spec changed"]
    return describe_differences(old[0], new[0])


def _specs(params: Sequence[str]) -> list[dict[str, Any]]:
    """Return the JSON objects among params."""
    found = []
    for text in params:
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            continue  # a param that is not a spec
        if isinstance(value, dict):
            found.append(value)
    return found
