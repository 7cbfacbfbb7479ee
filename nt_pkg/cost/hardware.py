"""The table of GPUs: their memory, bandwidth, and speed in bfloat16.

A name matches only if every word of it is known here, since names of other GPUs begin alike: an
`rtx_a1000` is not an A100, and `a100_1g.5gb` is a slice of one. A GPU that is not listed is
unknown, and messages say so.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """What one GPU has."""

    memory_mib: int  # as the driver reports it
    bfloat16: float | None  # dense operations per second at its peak; None: it has no bfloat16
    bandwidth: float  # bytes of its memory per second at its peak

    @property
    def memory(self) -> int:
        """Return the bytes of its memory."""
        return self.memory_mib * 2**20

    def peak(self, dtype: str) -> float | None:
        """Return its operations per second; those of float32 depend on TF32 and are not known."""
        return self.bfloat16 if dtype == "bfloat16" else None


# Chip, words that a name must also have, words that it may have. Of a chip with several
# memories, the smallest has no word of its own. Speeds and bandwidths are those of the vendors'
# data sheets without sparsity; memory is what `nvidia-smi` and `rocm-smi` show (GDDR6 with ECC on).
# MI250X is left out: it is two GPUs to Slurm and torch.
_TABLE = (
    ("v100", "", "16gb pcie sxm2", Gpu(16_384, None, 0.9e12)),
    ("v100", "32gb", "pcie sxm2 sxm3", Gpu(32_768, None, 0.9e12)),
    ("a10", "", "24gb pcie", Gpu(23_028, 125e12, 0.6e12)),
    ("a30", "", "24gb pcie", Gpu(24_576, 165e12, 0.933e12)),
    ("a40", "", "48gb pcie", Gpu(46_068, 149.7e12, 0.696e12)),
    ("a100", "", "40gb pcie sxm sxm4", Gpu(40_960, 312e12, 1.555e12)),
    ("a100", "80gb", "sxm sxm4", Gpu(81_920, 312e12, 2.039e12)),
    ("a100", "80gb pcie", "", Gpu(81_920, 312e12, 1.935e12)),
    ("l4", "", "24gb pcie", Gpu(23_034, 121e12, 0.3e12)),
    ("l40", "", "48gb pcie", Gpu(46_068, 181e12, 0.864e12)),
    ("l40s", "", "48gb pcie", Gpu(46_068, 362e12, 0.864e12)),
    ("h100", "", "80gb sxm sxm5 hbm3", Gpu(81_559, 989e12, 3.35e12)),
    ("h100", "pcie", "80gb hbm2e", Gpu(81_559, 756e12, 2.0e12)),
    ("h100", "nvl", "94gb hbm3", Gpu(95_830, 835e12, 3.9e12)),
    ("h200", "", "141gb sxm sxm5 hbm3e", Gpu(143_771, 989e12, 4.8e12)),
    ("h200", "nvl", "141gb hbm3e", Gpu(143_771, 835e12, 4.8e12)),
    # torch calls it "NVIDIA GH200 480GB", by the memory of its processor.
    ("gh200", "", "96gb 480gb hbm3", Gpu(97_871, 990e12, 4.0e12)),
    ("mi300x", "", "192gb oam hbm3", Gpu(196_592, 1307e12, 5.3e12)),
)
_OF_VENDORS = {"nvidia", "amd", "tesla", "instinct", "gpu"}


def gpu_of(name: str | None) -> Gpu | None:
    """Return a GPU by its name, as Slurm, torch or a vendor writes it; None if it is not known.

    Args:
        name: such as `a100_80gb`, `gpu:h100:4` or `NVIDIA H100 80GB HBM3`.
    """
    model = re.sub(r"^gpu:|:\d+$", "", (name or "").lower())  # a request of Slurm's
    words = {
        re.sub(r"^(\d{2,3})g?$", r"\1gb", word)  # `a100-80` and `a100_80g` mean 80 GB
        for word in re.findall(r"[a-z0-9]+", model)
    } - _OF_VENDORS
    for chip, needed, allowed, gpu in _TABLE:
        must = {chip, *needed.split()}
        if must <= words <= must | {*allowed.split()}:
            return gpu
    return None


def unknown_gpu(name: str | None) -> str:
    """Return why the speed of a GPU in bfloat16 is not known."""
    if gpu_of(name):
        return f"a {name} does not support bfloat16, which our models need"
    chips = ", ".join(dict.fromkeys(chip for chip, *_ in _TABLE))
    return f"the GPU {name} is not known (known are {chips})"
