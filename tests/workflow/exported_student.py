"""Train a tiny student on two ranks at ZeRO-3 and export it, for a check in another environment.

    python -m tests.workflow.exported_student FOLDER

Runs in the environment for training. The student learns one answer by heart and, with it, to stop.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from nt_pkg.config.students import Runtime, Training
from nt_pkg.files.json_files import write_json
from tests.workflow.vllm_check import LEARNED, make_model


def main(argv: Sequence[str]) -> int:
    """Run the command line."""
    from transformers import AutoTokenizer

    from nt_pkg.dialogue.rendering import render
    from nt_pkg.sft.examples import Examples, write_examples
    from nt_pkg.sft.export import export_model
    from nt_pkg.sft.launch import train
    from nt_pkg.sft.train import Job

    folder = Path(argv[0])
    base = make_model(folder / "base").folder
    [(ids, num_prompt)] = render(AutoTokenizer.from_pretrained(base), [LEARNED])
    examples = [
        {"id": f"r{n}", "target": "system2", "input_ids": ids, "num_prompt_tokens": num_prompt}
        for n in range(4)
    ]
    training = Training(
        learning_rate=0.003,
        tokens_per_step=256,
        max_example_tokens=128,
        epochs={0: 30},
        dtype="float32",
    )
    work = folder / "work"
    work.mkdir(parents=True, exist_ok=True)
    write_examples(folder / "examples.arrow", examples)
    mapped = Examples(folder / "examples.arrow")
    train(Job(base, mapped, training, Runtime(num_ranks=2, zero_stage=3), 0, work))
    found = export_model(work / "checkpoint", base, folder / "hf", "float32")
    write_json(folder / "hf.json", found)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
