"""How a command ends, and what it prints."""

import base64
import errno
import html
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from nt_pkg.files.foreign_text import cell, keep_secret, one_line, printable, say
from nt_pkg.files.json_files import read_fields
from nt_pkg.jobs.command import explained, run_command
from nt_pkg.jobs.progress import logger, start_job

ROOT = Path(__file__).parents[2]
HOSTILE = "a\x1b[2J\x1b]0;title\x07\r\x9b1m\u202e b"
SHOWN = r"a\x1b[2J\x1b]0;title\x07\x0d\x9b1m\u202e b"


def test_error_of_ours_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.json"
    path.write_text("[")

    assert run_command(lambda: len(read_fields(path, "x"))) == 1

    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {path} is not valid JSON")


def test_missing_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a"
    assert run_command(lambda: len(path.read_bytes())) == 1
    assert capsys.readouterr().err == f"error: {path}: No such file or directory\n"


def test_defect_shows_where_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """An error that nobody wrote for users: with its trace, without what a terminal obeys."""
    assert run_command(lambda: int(json.loads("{}")[HOSTILE])) == 1

    said = capsys.readouterr().err
    assert "Traceback" in said and "This is a defect" in said
    assert "\x1b" not in said


def test_status_and_message_of_an_exit_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    def stop() -> int:
        sys.exit(f"error: {HOSTILE}")

    assert run_command(lambda: 75) == 75
    assert run_command(stop) == 1
    assert capsys.readouterr().err == f"error: {SHOWN}\n"


def test_full_disk_is_named_whatever_said_it() -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "/x")
    wrapped = ValueError("a library's words")
    wrapped.__cause__ = full
    for error in (full, wrapped):
        said = explained(error)
        assert said is not None and said.startswith("no space left (")
        assert "run the same command again" in said


def test_full_disk_is_named_if_a_library_does_not_know_why_it_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The one of safetensors says it in an error of its own, and torch says nothing of it."""
    said = explained(Exception("I/O error: No space left on device (os error 28)"))
    assert said is not None and said.startswith("no space left (")
    torch = RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed")
    assert explained(torch) is None
    monkeypatch.setattr("nt_pkg.jobs.command.full_places", lambda: ["/x has 0 bytes left"])
    said = explained(torch)
    assert said is not None and said.startswith("no space left (PytorchStreamWriter")


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EFBIG, errno.EMFILE])
def test_what_the_machine_refuses_is_no_defect(number: int) -> None:
    """The write of a file has no name of it."""
    said = explained(OSError(number, os.strerror(number)))
    assert said is not None and os.strerror(number) in said and "same command" in said


def test_log_shows_neither_secrets_nor_escapes(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a job, also in the trace of an error; the hub's token is always known."""
    keep_secret("sk-one-two-three")
    monkeypatch.setenv("HF_TOKEN", "hf_secret_of_mine")
    start_job("x")
    try:
        raise ValueError(f"{HOSTILE} sk-one-two-three")
    except ValueError:
        logger.exception("%s hf_secret_of_mine", HOSTILE)

    said = capfd.readouterr().err
    assert said.count(SHOWN) >= 2 and said.count("***") >= 2
    assert "\x1b" not in said and "sk-one" not in said and "hf_secret" not in said


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("=1+1", "'=1+1"),
        ("+a", "'+a"),
        ("@x", "'@x"),
        (" \t=x", "' \t=x"),
        ("-a", "'-a"),
        ("-1.5", "-1.5"),
        ("+3", "+3"),
        (-1.5, -1.5),
        ("\uff1d1", "'\uff1d1"),
        ("a=b", "a=b"),
        (None, None),
    ],
)
def test_no_cell_is_a_formula(value: object, stored: object) -> None:
    assert cell(value) == stored


SECRET = r"sk-\"'<a/b+c=&%>"


@pytest.mark.parametrize(
    "spelled",
    [
        SECRET,
        json.dumps({"key": SECRET}),
        json.dumps(SECRET).replace("/", r"\/"),
        repr(SECRET),
        html.escape(f"key={SECRET}"),
        quote(SECRET),
        quote(SECRET, safe="").lower(),
        quote_plus(f"Bearer {SECRET}"),
        SECRET.encode().hex(),
        SECRET.encode().hex().upper(),
        *(base64.b64encode(f"{'Bearer '[n:]}{SECRET} x".encode()).decode() for n in range(3)),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
    ],
)
def test_secret_is_hidden_however_it_is_spelled(
    monkeypatch: pytest.MonkeyPatch, spelled: str
) -> None:
    monkeypatch.setattr("nt_pkg.files.foreign_text._secrets", set())
    keep_secret(SECRET)
    said = printable(f"no such key: {spelled}, sorry")
    assert "***" in said and len(said) < len("no such key: {'key': ''}, sorry") + 20
    assert printable("no such key, sorry") == "no such key, sorry"


def test_what_a_terminal_cannot_write_is_shown() -> None:
    """A language such as C has no letters for a path of another."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    say("\u00fcber \u6f22", stream)
    assert stream.buffer.getvalue() == b"\\xfcber \\u6f22\n"


def test_short_words_are_no_secrets() -> None:
    """Servers without keys are asked with words such as EMPTY, which answers contain too."""
    keep_secret("EMPTY")
    assert printable("EMPTY\nlines\tstay") == "EMPTY\nlines\tstay"
    assert one_line("a\n b" + "x" * 500) == ("a b" + "x" * 500)[:300]


def test_jobs_have_no_standard_input() -> None:
    """`yes | snakemake` would answer what a library asks, such as whether to run a model's code."""
    from nt_pkg.jobs.shell import shell_prefix

    prefix = shell_prefix(ROOT, {}, is_deployed=False).replace("{{", "{").replace("}}", "}")
    done = subprocess.run(
        ["bash", "-c", f"{prefix} cat"],
        input="yes\n",
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
    )
    assert done.stdout == ""


def test_jobs_are_the_same_whatever_the_user_has_set() -> None:
    """Another encoding of files, or Python without assertions and docstrings."""
    from nt_pkg.jobs.shell import shell_prefix

    prefix = shell_prefix(ROOT, {}, is_deployed=False).replace("{{", "{").replace("}}", "}")
    shown = "import sys; print(sys.flags.utf8_mode, sys.flags.optimize)"
    done = subprocess.run(
        ["bash", "-c", f"{prefix} python -c '{shown}'"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONOPTIMIZE": "2"},
    )
    assert done.stdout == "1 0\n"
