"""The note of a rank is as it was written, or is no note."""

from pathlib import Path

import pytest

from nt_pkg.sft.checkpoint_files import check, note_rank, recorded

PLACE = {"step": 3, "num_ranks": 1, "zero_stage": 2}


def test_no_flipped_byte_of_a_note_is_believed(tmp_path: Path) -> None:
    """Whatever it hits: a name, a digest, a size or the step."""
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"weights")
    note_rank(tmp_path, 0, PLACE, [weights])
    note = tmp_path / "rank-0.json"
    written = note.read_bytes()
    whole = check(tmp_path), recorded(tmp_path)
    refused = 0

    for at in range(len(written)):
        note.write_bytes(written[:at] + bytes([written[at] ^ 1]) + written[at + 1 :])
        try:
            found = check(tmp_path), recorded(tmp_path)
        except ValueError as error:
            refused += 1
            assert "rank-0.json" in str(error)
        else:  # such as a letter in the name of the digest: what it says is the same
            assert found == whole
    assert refused > 0.9 * len(written)


def test_notes_of_earlier_versions_are_read(tmp_path: Path) -> None:
    note = tmp_path / "rank-0.json"
    note.write_text('{"step": 3, "num_ranks": 1, "zero_stage": 2, "files": {}}')

    assert check(tmp_path).step == 3
    note.write_text('{"step": 3, "num_ranks": 1, "zero_stage": 2, "files": {}, "digest": "x"}')
    with pytest.raises(ValueError, match=r"rank-0.json is damaged"):
        check(tmp_path)
