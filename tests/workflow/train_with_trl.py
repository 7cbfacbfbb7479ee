"""Train on exported subsets with TRL, as they are.

    python -m tests.workflow.train_with_trl FOLDER ...

Runs in the environment of `envs/peers-sft.txt`; prints what the trainer did as one line of JSON a
folder.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

BASE = Path(__file__).parents[2] / "nt_pkg" / "microworld" / "base"


def train(folder: str) -> dict[str, Any]:
    """Train the micro-world's base student for one epoch; return losses, and the rows as read."""
    import torch
    from datasets import load_dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        config = SFTConfig(
            output_dir=f"{scratch}/out",
            num_train_epochs=1,
            per_device_train_batch_size=2,
            learning_rate=1e-3,
            use_cpu=True,
            bf16=False,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            dataloader_pin_memory=False,
        )
        trainer = SFTTrainer(
            AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32),
            args=config,
            train_dataset=load_dataset(folder, split="train", cache_dir=f"{scratch}/cache"),
            processing_class=AutoTokenizer.from_pretrained(BASE),
        )
        rows = [trainer.train_dataset[n]["input_ids"] for n in range(len(trainer.train_dataset))]
        steps = trainer.train().global_step
        losses = [each["loss"] for each in trainer.state.log_history if "loss" in each]
        texts = [trainer.processing_class.decode(row) for row in rows]
    return {"steps": steps, "losses": losses, "texts": texts}


if __name__ == "__main__":
    for each in sys.argv[1:]:
        print(json.dumps(train(each)))
