"""What the parts of `benchmarks.gpu_check` share: the machine, models, rows, and lines of a table.

A part runs in a process of its own and takes a deadline, at which it stops between two repetitions.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nt_pkg.cost.hardware import gpu_of

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

MEAN_DOCUMENT = 4430  # tokens of an example in the paper
SEED = 0
_COMMON: dict[str, Any] = {
    "model_type": "llama",
    "num_key_value_heads": 8,
    "max_position_embeddings": 131_072,
    "vocab_size": 128_256,
}
MODELS: dict[str, dict[str, Any]] = {
    "1B": {  # the shape of Llama-3.2-1B
        **_COMMON,
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "head_dim": 64,
        "tie_word_embeddings": True,
    },
    "8B": {  # of Llama-3.1-8B
        **_COMMON,
        "hidden_size": 4096,
        "intermediate_size": 14_336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "head_dim": 128,
        "tie_word_embeddings": False,
    },
    "tiny": {
        **_COMMON,
        "hidden_size": 64,
        "intermediate_size": 160,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "vocab_size": 512,
        "tie_word_embeddings": True,
    },
}


@dataclass
class Line:
    """One row of the table.

    Attributes:
        part: which part measured it.
        what: what was measured.
        value: the number with its unit.
        wanted: what it should be, "" if nothing is wanted.
        verdict: "ok", "BAD", "skipped: why", or "" without a wish.
        data: numbers for the JSON file.
    """

    part: str
    what: str
    value: str
    wanted: str = ""
    verdict: str = ""
    data: dict[str, Any] | None = None


@dataclass(frozen=True)
class Place:
    """Where and how large: the folder to work in, and whether only to see that all of it runs."""

    folder: Path
    is_quick: bool
    deadline: float  # of time.monotonic()

    @property
    def device(self) -> "torch.device":
        """Return the first GPU, or the CPU."""
        import torch

        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")

    @property
    def on_gpu(self) -> bool:
        """Return whether there is a GPU."""
        return bool(self.device.type == "cuda")

    @property
    def is_small(self) -> bool:
        """Return whether models of full width would take too long."""
        return self.is_quick or not self.on_gpu

    @property
    def capacity(self) -> int:
        """Return the bytes of the GPU; on a CPU a number that nothing here comes near."""
        import torch

        return torch.cuda.get_device_properties(0).total_memory if self.on_gpu else 2**40

    @property
    def peak(self) -> float | None:
        """Return the GPU's operations per second in bfloat16, if they are known."""
        import torch

        gpu = gpu_of(torch.cuda.get_device_name(0)) if self.on_gpu else None
        return gpu.peak("bfloat16") if gpu else None

    def free(self) -> None:
        """Give back what is free of the GPU's memory, and count its peak from now on."""
        import torch

        if self.on_gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()


def model_of(
    config: dict[str, Any],
    attention: str,
    dtype: "torch.dtype",
    device: "torch.device",
    kernels: str = "eager",
) -> "PreTrainedModel":
    """Return a random model as a training sets it up, the same for the same seed and dtype."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from nt_pkg.sft.attention import register
    from nt_pkg.sft.kernels import use_kernels
    from nt_pkg.sft.loss import give_loss

    torch.manual_seed(SEED)
    with torch.device(device):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(
            AutoConfig.for_model(**config),
            dtype=dtype,
            attn_implementation=register(attention),  # type: ignore[arg-type]
        )
    use_kernels(model, kernels, device.type)  # type: ignore[arg-type]
    give_loss(model)
    return model.train()


def row_of(
    lengths: tuple[int, ...], attention: str, config: dict[str, Any], device: "torch.device"
) -> dict[str, Any]:
    """Return the model's arguments for one packed row, with loss on all tokens that have one."""
    import torch

    from nt_pkg.sft.attention import layout_for

    documents = [
        torch.randint(
            4, config["vocab_size"], (each,), generator=torch.Generator().manual_seed(each)
        )
        for each in lengths
    ]
    starts = torch.tensor([0, *lengths]).cumsum(0)
    at = torch.cat(
        [torch.arange(start, start + n - 1) for start, n in zip(starts, lengths, strict=False)]
    )
    ids = torch.cat(documents)
    return {
        "at": at.to(device),
        "targets": ids[at + 1].to(device),
        "input_ids": ids[None].to(device),
        "position_ids": torch.cat([torch.arange(each) for each in lengths])[None].to(device),
        "use_cache": False,
        **layout_for(attention, lengths, device),  # type: ignore[arg-type]
    }


def distance(found: Sequence["torch.Tensor"], wanted: Sequence["torch.Tensor"]) -> float:
    """Return the length of the difference as a share of the length of what is wanted.

    Both are one vector in several tensors.
    """
    pairs = [(a.float(), b.float()) for a, b in zip(found, wanted, strict=True)]
    far = math.hypot(*(float((a - b).norm()) for a, b in pairs))
    return far / math.hypot(*(float(b.norm()) for _, b in pairs))


def slopes_of(model: "PreTrainedModel") -> list["torch.Tensor"]:
    """Return the gradients of a model's weights."""
    return [each.grad for each in model.parameters() if each.grad is not None]


def within(part: str, what: str, found: float, bound: float) -> Line:
    """Return a row on a difference that must be small."""
    verdict = "ok" if found < bound else "BAD"
    return Line(part, what, f"{found:.1e}", f"less than {bound:g}", verdict, {"difference": found})
