"""Run a study on this machine and show its progress.

    python -m scripts.study                                   # the demo, as profiles/local has it
    python -m scripts.study --configfile config/real_rows.yaml
    python -m scripts.study sft                               # one stage

All arguments go to Snakemake; put targets first. A warm interpreter runs next to it,
so that jobs start in milliseconds (nt_pkg/jobs/warm_interpreter.py). Killed at any
moment, the same command continues. It ends with the headline table of the study, and adds the
time that the study took to summary.json of its report.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from nt_pkg.config.load import read_study
from nt_pkg.files import layout
from nt_pkg.files.foreign_text import say
from nt_pkg.jobs.command import run_command
from nt_pkg.jobs.locks import lock
from nt_pkg.jobs.shell import cache_home, check_writable
from nt_pkg.jobs.sockets import short_folder
from nt_pkg.jobs.warm_interpreter import die_with_parent
from nt_pkg.plan.validate import load_study
from nt_pkg.report.terminal import headline
from nt_pkg.snakemake_io.arguments import read_command_line
from nt_pkg.snakemake_io.events import Tail, asking
from nt_pkg.snakemake_io.events import environment as with_plugin
from nt_pkg.snakemake_io.history import History, Meter
from nt_pkg.snakemake_io.progress_view import ProgressView
from nt_pkg.snakemake_io.timings import mean_seconds

ROOT = Path(__file__).parent.parent
_POLL_SECONDS = 0.1


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if {"-h", "--help"} & set(arguments):
        say(__doc__ or "")
        return 0
    options = ["-s", str(ROOT / "Snakefile")]
    if not any(each.startswith(("--profile", "--workflow-profile")) for each in arguments):
        options += ["--profile", str(ROOT / "profiles" / "local")]
    options += arguments
    try:
        given = read_command_line(options)
        study = load_study(read_study(given.configfiles, given.overrides))
    except ValueError as error:
        sys.exit(f"error: {error}")
    folder = given.folder
    output_path, events_path = folder / "logs/study.log", folder / "logs/study.events.jsonl"
    command = [sys.executable, "-m", "snakemake", *asking(options, events_path.absolute())]
    try:
        check_writable([str(folder / "logs")])
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        only_start = (folder / "logs/.lock").open("w")  # a lock ends with its file
        temporary = short_folder()
    except ValueError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        place = folder.absolute()
        sys.exit(f"error: {place} cannot be written ({error}): run in a folder of your own")
    if not lock(only_start, waits=False):  # before anything of the other start is touched
        sys.exit(
            f"error: another start works in {folder.absolute()}: wait for it, stop it, or give "
            "this one a folder with --directory (python -m scripts.plan shows a plan beside it)"
        )
    history, meter = History(folder / f"work/invocations-{study.study}.json"), Meter()
    events_path.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="nt-", dir=temporary) as passing:
        environment = {
            **with_plugin(os.environ),
            **cache_home(os.environ, Path(passing, "cache")),
            "NT_WARM": f"{passing}/warm.sock",
            "NT_JOB_TIMES": f"{passing}/startup.jsonl",
            "OMP_NUM_THREADS": "1",
            # Of the warm interpreter, and so of its jobs (nt_pkg/jobs/shell.py).
            "PYTHONUTF8": "1",
            "PYTHONOPTIMIZE": "",
            "TOKENIZERS_PARALLELISM": "false",
            "HF_HUB_OFFLINE": os.environ.get("HF_HUB_OFFLINE", "1"),
        }
        server = [sys.executable, "-m", "nt_pkg.jobs.warm_interpreter", "serve"]
        with (
            (folder / "logs/warm.log").open("w") as warm_log,
            output_path.open("w") as output,
            _start(server, environment, stdout=warm_log, stderr=warm_log) as warm,
            _start(command, environment, stdout=output, stderr=output) as snakemake,
        ):
            earlier = mean_seconds(folder / "timings", study.names_in_use())
            events = Tail(events_path)
            view = ProgressView(output_path, os.cpu_count() or 1, earlier=earlier, folder=folder)
            meter.start()
            try:
                status = _follow(snakemake, events, view)
            except KeyboardInterrupt:
                _follow(snakemake, events, view)
                status = 130
            finally:
                # Jobs of a killed Snakemake end with it; a training writes a checkpoint first.
                warm.terminate()
        view.close(status)
        startup = Path(passing, "startup.jsonl")
        lines = startup.read_text().splitlines() if startup.exists() else []
    history.add(meter.stop(), view, [json.loads(line) for line in lines], status == 0)
    report = layout.artifact(layout.REPORT, folder, study=study.study).parent
    if status == 0 and (report / "summary.json").exists() and not given.is_dry_run:
        history.complete(report / "summary.json")
        say(headline(report).rstrip())
    return status


def _follow(snakemake: subprocess.Popen[str], events: Tail, view: ProgressView) -> int:
    """Show Snakemake's progress until it ends, and return its status."""
    while True:
        status = snakemake.poll()  # before the last read
        for event in events.new():
            view.take(event)
        if status is not None:
            return status
        view.wait()
        time.sleep(_POLL_SECONDS)


def _start(
    command: list[str], environment: dict[str, str], **options: object
) -> subprocess.Popen[str]:
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        command, env=environment, preexec_fn=die_with_parent, **options
    )


if __name__ == "__main__":
    sys.exit(run_command(main))
