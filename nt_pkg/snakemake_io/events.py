"""What Snakemake does, as data: one JSON object a line, each with `event` and `time`.

    begun      the workflow is about to be planned
    note       something a start would refuse (`text`)
    planned    `jobs` that would run (`data_of_job`), including targets; absent if there are none
    left       rule -> number of jobs that are not done, after a checkpoint has changed the plan
    started    `id`, `rule`, `log`
    finished   `id`
    failed     `id`, `rule`, `log`

The logger plugin `nt` (plugins/) writes them. Snakemake works without it: only a command that wants
the events asks for them, with `asking` and `environment`. Names are never parsed, so they may
contain spaces, commas or line breaks.
"""

import ast
import json
import logging
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

Event = dict[str, Any]
_PLUGINS = Path(__file__).parent / "plugins"
_ROOT = Path(__file__).parents[2]


def asking(arguments: Sequence[str], path: Path) -> list[str]:
    """Return arguments of Snakemake that write its events to a file as well."""
    path_of = ["--logger-nt-path", str(path)]
    if "--logger" in arguments:  # the user asks for another plugin: keep it
        at = arguments.index("--logger") + 1
        return [*path_of, *arguments[:at], "nt", *arguments[at:]]
    return ["--logger", "nt", *path_of, *arguments]


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return variables with which Snakemake finds the plugin."""
    found = variables.get("PYTHONPATH", "").split(os.pathsep)
    places = dict.fromkeys([str(_PLUGINS), str(_ROOT), *filter(None, found)])
    return {**variables, "PYTHONPATH": os.pathsep.join(places)}


class Tail:
    """Reads a file of events while it is written."""

    def __init__(self, path: Path) -> None:
        """Start; the file may not exist yet."""
        self._path, self._position, self._rest = path, 0, ""

    def new(self) -> list[Event]:
        """Return the events since the last call."""
        if not self._path.exists():
            return []
        with self._path.open() as file:
            file.seek(self._position)
            text = self._rest + file.read()
            self._position = file.tell()
        complete, end, self._rest = text.rpartition("\n")
        return list(events_in(complete + end))


def events_in(text: str) -> Iterator[Event]:
    """Yield the events of complete lines; the last line may still be incomplete."""
    for line in text.split("\n")[:-1]:
        yield json.loads(line)


class Collector(logging.Filter):
    """Attaches each event to its log record while Snakemake's data still match it.

    A plugin gets its records later and in another thread, and they hold only texts of a job.
    """

    def __init__(self) -> None:
        """Begin."""
        super().__init__()
        self._size: int | None = None  # of the plan, once reported

    def filter(self, record: logging.LogRecord) -> bool:
        """Attach the event; let every record pass."""
        if (event := self._event(record)) is not None:
            record.nt_event = {**event, "time": record.created}
        return True

    def _event(self, record: Any) -> Event | None:
        # Snakemake's own module variable: the workflow that is parsed or runs.
        workflow: Any = getattr(sys.modules.get("snakemake.workflow"), "workflow", None)
        if note := getattr(record, "nt_note", None):
            return {"event": "note", "text": note}
        kind = getattr(record, "event", None)
        if kind == "workflow_started":
            return {"event": "begun"}
        if kind == "run_info" and self._size is None and workflow is not None:
            self._size = len(workflow.dag)
            return {"event": "planned", "jobs": [data_of_job(j) for j in _to_run(workflow.dag)]}
        if kind == "job_started" and len(workflow.dag) != self._size:
            self._size = len(workflow.dag)
            return {
                "event": "left",
                "rules": Counter(j.rule.name for j in workflow.dag.needrun_jobs()),
            }
        if kind == "job_info" and not workflow.dryrun:
            return {
                "event": "started",
                "id": record.jobid,
                "rule": record.rule_name,
                "log": [str(path) for path in record.log],
            }
        if kind == "job_finished" and not workflow.dryrun:
            return {"event": "finished", "id": record.job_id}
        if kind == "job_error":
            logs = [str(path) for path in record.log]
            return {"event": "failed", "id": record.jobid, "rule": record.rule_name, "log": logs}
        return None


def _to_run(dag: Any) -> list[Any]:
    """Return the jobs that will run, each after those that it needs."""
    left = set(dag.needrun_jobs())
    return [
        job for level in dag.toposorted(left) for job in sorted(level, key=lambda j: dag.jobid(j))
    ]


def data_of_job(job: Any) -> dict[str, Any]:
    """Return the data of a job; `reason` says why it would run."""
    dag = job.dag
    return {
        "id": dag.jobid(job),
        "rule": job.rule.name,
        "is_checkpoint": job.rule.is_checkpoint,
        "wildcards": dict(job.wildcards_dict),
        "outputs": [str(path) for path in job.output],
        "timing": None if job.benchmark is None else str(job.benchmark),
        "threads": int(job.threads),
        "resources": {
            name: str(value)
            for name, value in job.resources.items()
            if not name.startswith("_") and value is not None
        },
        "reason": _data_of_reason(dag, job),
    }


def _data_of_reason(dag: Any, job: Any) -> dict[str, Any]:
    reason = dag.reason(job)
    # Snakemake forces interrupted jobs, and reports them like jobs that a user forces.
    is_cut_off = reason.forced and bool(
        dag.workflow.async_run(dag.workflow.persistence.incomplete(job))
    )
    files = {
        "missing": reason.missing_output,
        "updated": reason.updated_input - reason.updated_input_run,
        "updated_by_job": reason.updated_input_run,
    }
    changed = reason.params_changed
    return {
        "is_forced": bool(reason.forced) and not is_cut_off,
        "is_cut_off": is_cut_off,
        **{name: sorted(map(str, paths)) for name, paths in files.items()},
        "is_input_set_changed": bool(reason.input_changed),
        "is_command_changed": bool(reason.code_changed),
        "is_environment_changed": bool(reason.software_stack_changed),
        "old_params": _values(changed.only_old) if changed else [],
        "new_params": _values(changed.only_new) if changed else [],
    }


def _values(recorded: set[str]) -> list[str]:
    """Return the texts among params; Snakemake stores them as Python literals."""
    found = []
    for each in sorted(recorded):
        try:
            value = ast.literal_eval(each)
        except (ValueError, SyntaxError):
            continue
        found.append(value if isinstance(value, str) else repr(value))
    return found
