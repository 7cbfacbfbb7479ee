"""What a killed start leaves open is found by the next one."""

import json
import logging
from pathlib import Path

from nt_pkg.snakemake_io.under_way import UnderWay


def _record(**fields: object) -> logging.LogRecord:
    return logging.makeLogRecord(fields)


def _follow(path: Path) -> UnderWay:
    """Start two jobs and a target, and see the end of one of them."""
    logger = logging.getLogger("snakemake.logging")
    under_way = UnderWay(path)
    under_way.begin()
    logger.removeHandler(under_way)
    for jobid, output in ((3, ["a b", "c, d"]), (4, ["e"]), (0, [])):
        under_way.emit(_record(event="job_info", jobid=jobid, output=output))
    under_way.emit(_record(event="progress", done=1, total=3))
    under_way.emit(_record(event="job_finished", job_id=3))
    return under_way


def test_open_outputs_outlive_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "under_way.jsonl"
    assert UnderWay(path).open == set()
    assert not path.exists()

    under_way = _follow(path)

    assert under_way.open == UnderWay(path).open == {"e"}


def test_line_that_a_kill_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "under_way.jsonl"
    _follow(path)
    with path.open("a") as file:
        file.write('{"end": ["e')

    assert UnderWay(path).open == {"e"}


def test_next_start_keeps_what_is_open_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "under_way.jsonl"
    _follow(path)

    second = UnderWay(path)
    second.begin()
    logging.getLogger("snakemake.logging").removeHandler(second)

    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"start": ["e"]}]
    second.emit(_record(event="job_info", jobid=1, output=["e"]))
    assert UnderWay(path).open == {"e"}  # it is being made, not made
    second.emit(_record(event="job_finished", job_id=1))
    assert UnderWay(path).open == set()


def test_failed_job_stays_open(tmp_path: Path) -> None:
    """If its output is there all the same, nobody has seen it being finished."""
    path = tmp_path / "under_way.jsonl"
    _follow(path).emit(_record(event="job_error", jobid=4, output=["e"]))

    assert UnderWay(path).open == {"e"}
