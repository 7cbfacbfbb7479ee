"""What made an artifact is as it was kept beside it, or fits nothing."""

from pathlib import Path

from nt_pkg.files.beside import made_beside
from nt_pkg.files.json_files import write_json
from nt_pkg.snakemake_io.records import read_made, write_made

RECORD = {
    "rule": "grade",
    "params": ["'{\"kind\": 1}'"],
    "record_format_version": 6,
    "endtime": 1.5,
}


def test_no_flipped_byte_of_a_record_is_believed(tmp_path: Path) -> None:
    """Such as one in the version of its form, with which Snakemake would compare no params."""
    output = tmp_path / "a"
    assert read_made(output) is None
    write_made(output, RECORD)
    assert read_made(output) == RECORD
    written = made_beside(output).read_bytes()

    for at in range(len(written)):
        for bit in (1, 4):
            flipped = bytes([written[at] ^ bit])
            made_beside(output).write_bytes(written[:at] + flipped + written[at + 1 :])
            found = read_made(output)
            assert found is not None and found["params"] == ["'a damaged record'"]


def test_records_of_earlier_versions_are_read(tmp_path: Path) -> None:
    output = tmp_path / "a"
    write_json(made_beside(output), RECORD)
    assert read_made(output) == RECORD
