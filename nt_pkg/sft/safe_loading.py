"""Checkpoints are read without running what is in them: a folder may come from anybody.

torch unpickles a checkpoint, and a pickle may name any function. With `weights_only` it takes
tensors, plain values, and the classes listed here. DeepSpeed asks for everything; an environment
variable of torch overrules it, in processes that it starts as well.
"""

import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nt_pkg.files.json_files import NOT_OURS

_ONLY_WEIGHTS = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"  # of torch


def load_only_weights() -> None:
    """Let no `torch.load` in this process and those that it starts run anything."""
    import torch
    from deepspeed.runtime.fp16.loss_scaler import DynamicLossScaler, LossScaler
    from deepspeed.runtime.zero.config import ZeroStageEnum
    from deepspeed.utils.tensor_fragment import fragment_address

    os.environ[_ONLY_WEIGHTS] = "1"
    torch.serialization.add_safe_globals(
        [LossScaler, DynamicLossScaler, ZeroStageEnum, fragment_address]
    )


def load(path: Path | str, map_location: Any = None, mmap: bool = False) -> Any:
    """Return the content of a file of a checkpoint.

    Raises:
        ValueError: it holds something else, or is damaged.
    """
    import torch

    load_only_weights()
    with explained(Path(path)):
        return torch.load(path, map_location=map_location, mmap=mmap, weights_only=True)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn the errors of torch and DeepSpeed about a file or folder of a checkpoint into one.

    Raises:
        ValueError: what is read cannot be, or names what no checkpoint of ours does.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except (
        pickle.UnpicklingError,
        EOFError,
        RuntimeError,
        LookupError,
        TypeError,
        OSError,
    ) as error:
        why = str(error).strip().partition("\n")[0]
        if "weights_only" in str(error).lower():
            why = "it names code that no checkpoint of this project holds, and none of it was run"
        raise ValueError(f"{path} cannot be read as a checkpoint ({why}). {NOT_OURS}") from error
