"""The note of a rank is as it was written, or is no note."""

from pathlib import Path

import pytest

from nt_pkg.plan.verify import verify
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
    assert whole[0].step == 3

    for at in range(len(written)):
        note.write_bytes(written[:at] + bytes([written[at] ^ 1]) + written[at + 1 :])
        for read in (check, recorded):
            with pytest.raises(ValueError, match=r"rank-0\.json"):
                read(tmp_path)


def test_verify_misses_a_note_and_names_a_file_that_nobody_wrote(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    for rank in range(2):
        weights = folder / f"weights-{rank}.pt"
        weights.write_bytes(b"weights")
        note_rank(folder, rank, {**PLACE, "num_ranks": 2}, [weights])
    assert not verify([folder]).wrong

    (folder / "mine.txt").write_text("mine")
    assert verify([folder]).wrong == {folder / "mine.txt": "does not belong there"}
    for rank in (1, 0):
        (folder / f"rank-{rank}.json").unlink()
        assert "rank" in verify([folder]).wrong[folder]


def test_notes_of_earlier_versions_are_read(tmp_path: Path) -> None:
    note = tmp_path / "rank-0.json"
    note.write_text('{"step": 3, "num_ranks": 1, "zero_stage": 2, "files": {}}')

    assert check(tmp_path).step == 3
    note.write_text('{"step": 3, "num_ranks": 1, "zero_stage": 2, "files": {}, "digest": "x"}')
    with pytest.raises(ValueError, match=r"rank-0.json is damaged"):
        check(tmp_path)
