"""Loss on examples that a training does not learn from."""

from pathlib import Path
from typing import Any

import pytest

from nt_pkg.config.students import Runtime
from nt_pkg.sft import launch
from nt_pkg.sft.held_out import check_apart
from tests.unit.sft.tiny import EXAMPLES, Runs, job_of, weights, written

HELD = [{**row, "id": f"held{n}"} for n, row in enumerate(EXAMPLES[:5])]


def loss_of(model: Any, rows: list[dict[str, Any]]) -> float:
    """Return the loss per response token, one example at a time."""
    import torch
    from torch.nn.functional import cross_entropy

    total, count = 0.0, 0
    for row in rows:
        ids, cut = torch.tensor(row["input_ids"]), row["num_prompt_tokens"]
        with torch.no_grad():
            logits = model(ids[None]).logits[0]
        total += float(cross_entropy(logits[cut - 1 : -1], ids[cut:], reduction="sum"))
        count += len(ids) - cut
    return total / count


@pytest.mark.parametrize("runtime", [{"num_ranks": 2, "zero_stage": 3}])
def test_loss_before_and_after_is_that_of_the_weights(
    student: Path, trained: Runs, tmp_path: Path, runtime: dict[str, Any]
) -> None:
    """And nothing is learnt from them: the weights are those of a training without them."""
    from transformers import AutoModelForCausalLM

    held = written(tmp_path / "held.arrow", HELD)
    job = job_of(student, tmp_path / "work", runtime=Runtime(**runtime), held_out=held)
    result = launch.train(job)["held_out"]

    model = AutoModelForCausalLM.from_pretrained(student)
    assert result["loss_before"] == pytest.approx(loss_of(model, HELD), abs=1e-4)
    after = weights(tmp_path / "work" / "checkpoint")
    model.load_state_dict(after, strict=False)
    assert result["loss_after"] == pytest.approx(loss_of(model, HELD), abs=1e-4)
    assert result["num_examples"] == 5
    assert result["num_loss_tokens"] == sum(
        len(row["input_ids"]) - row["num_prompt_tokens"] for row in HELD
    )
    _, others = trained(**runtime)
    assert after.keys() == others.keys()
    assert all((after[name] == others[name]).all() for name in others)


def test_rows_that_are_trained_on_are_refused(tmp_path: Path) -> None:
    own = written(tmp_path / "own.arrow", EXAMPLES)

    check_apart(own, written(tmp_path / "held.arrow", HELD))
    with pytest.raises(ValueError, match="2 of the 3 held-out examples are also trained on"):
        check_apart(own, written(tmp_path / "both.arrow", [*EXAMPLES[:2], HELD[2]]))
