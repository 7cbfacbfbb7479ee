"""Run a study on this machine and show how far it is.

    python -m scripts.study                                   # the demo
    python -m scripts.study --configfile config/real_rows.yaml
    python -m scripts.study sft                               # one stage

Everything behind the program's name goes to Snakemake. Beside it runs a warm interpreter, so that
jobs start in milliseconds (nt_pkg/jobs/warm_interpreter.py). Killed at any moment, the same
command continues. Ends with the headline table; how long it took is added to summary.json of the
report.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from nt_pkg.config.load import read_yaml
from nt_pkg.jobs.warm_interpreter import die_with_parent
from nt_pkg.plan.validate import load_study
from nt_pkg.report.terminal import headline
from nt_pkg.snakemake_io.events import Tail, asking
from nt_pkg.snakemake_io.events import environment as with_plugin
from nt_pkg.snakemake_io.history import History, Meter
from nt_pkg.snakemake_io.progress_view import ProgressView

ROOT = Path(__file__).parent.parent
OUTPUT, EVENTS = Path("logs/study.log"), Path("logs/study.events.jsonl")  # of Snakemake
_POLL_SECONDS = 0.1


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if {"-h", "--help"} & set(arguments):
        print(__doc__)
        return 0
    try:
        study = load_study(read_yaml([ROOT / "config" / "config.yaml", *_config_files(arguments)]))
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    options = ["-s", str(ROOT / "Snakefile")]
    if not any(each.startswith(("--profile", "--workflow-profile")) for each in arguments):
        options += ["--profile", str(ROOT / "profiles" / "local")]
    options = asking([*options, *arguments], EVENTS.absolute())
    command = [sys.executable, "-m", "snakemake", *options]
    try:
        Path("logs").mkdir(exist_ok=True)
    except OSError as error:
        sys.exit(f"error: {Path.cwd()} cannot be written ({error}): run in a folder of your own")
    history, meter = History(Path(f"work/invocations-{study.study}.json")), Meter()
    EVENTS.unlink(missing_ok=True)
    # Short, because a socket's address may have some 100 characters.
    with tempfile.TemporaryDirectory(prefix="nt-") as folder:
        environment = {
            **with_plugin(os.environ),
            "NT_WARM": f"{folder}/warm.sock",
            "NT_JOB_TIMES": f"{folder}/startup.jsonl",
            "OMP_NUM_THREADS": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "HF_HUB_OFFLINE": os.environ.get("HF_HUB_OFFLINE", "1"),
        }
        server = [sys.executable, "-m", "nt_pkg.jobs.warm_interpreter", "serve"]
        with (
            Path("logs/warm.log").open("w") as warm_log,
            OUTPUT.open("w") as output,
            _start(server, environment, stdout=warm_log, stderr=warm_log) as warm,
            _start(command, environment, stdout=output, stderr=output) as snakemake,
        ):
            # The jobs of a Snakemake that was killed end with it.
            threading.Thread(target=_kill_after, args=(warm, snakemake), daemon=True).start()
            events, view = Tail(EVENTS), ProgressView(OUTPUT, os.cpu_count() or 1)
            meter.start()
            try:
                status = _follow(snakemake, events, view)
            except KeyboardInterrupt:
                _follow(snakemake, events, view)
                status = 130
            finally:
                warm.kill()
        view.close(status)
        startup = Path(folder, "startup.jsonl")
        lines = startup.read_text().splitlines() if startup.exists() else []
    history.add(meter.stop(), view, [json.loads(line) for line in lines], status == 0)
    report = Path("results/report") / study.study
    if status == 0 and (report / "summary.json").exists() and "-n" not in arguments:
        history.complete(report / "summary.json")
        sys.stdout.write(headline(report))
    return status


def _follow(snakemake: subprocess.Popen[str], events: Tail, view: ProgressView) -> int:
    """Show what Snakemake does until it has ended, and return its status."""
    while True:
        status = snakemake.poll()  # before the last look
        for event in events.new():
            view.take(event)
        if status is not None:
            return status
        time.sleep(_POLL_SECONDS)


def _config_files(arguments: Sequence[str]) -> list[Path]:
    """Return the overlays among Snakemake's arguments."""
    files = []
    for at, each in enumerate(arguments):
        if each in ("--configfile", "--configfiles"):
            for value in arguments[at + 1 :]:
                if value.startswith("-"):
                    break
                files.append(Path(value))
        elif each.startswith("--configfile="):
            files.append(Path(each.partition("=")[2]))
    return files


def _kill_after(one: subprocess.Popen[str], other: subprocess.Popen[str]) -> None:
    """Kill one process as soon as the other has ended."""
    other.wait()
    one.kill()


def _start(
    command: list[str], environment: dict[str, str], **options: object
) -> subprocess.Popen[str]:
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        command, env=environment, preexec_fn=die_with_parent, **options
    )


if __name__ == "__main__":
    sys.exit(main())
