"""Continue a training on another number of ranks, or at another ZeRO stage.

DeepSpeed's universal checkpoint has one folder per parameter instead of one file per rank, so that
any number of ranks can load their parts. This module makes it from an ordinary checkpoint.
"""

import contextlib
import logging
import multiprocessing
import os
import shutil
from argparse import Namespace
from pathlib import Path
from typing import Any

from nt_pkg.config.students import Runtime
from nt_pkg.jobs.warm_interpreter import die_with_parent
from nt_pkg.sft.checkpoint_files import Checkpoint
from nt_pkg.sft.safe_loading import load, load_only_weights

logger = logging.getLogger(__name__)
_MODEL_STATES = ("mp_rank_00_model_states.pt", "zero_pp_rank_0_mp_rank_00_model_states.pt")


def convert(found: Checkpoint, out: Path, runtime: Runtime) -> None:
    """Write a checkpoint in the universal form to the folder `out`, replacing it.

    It takes as much disk space as the checkpoint, and temporarily twice as much.

    Args:
        found: the checkpoint.
        out: folder to write.
        runtime: runtime of the training that continues; the conversion uses its cores and memory.

    Raises:
        RuntimeError: the conversion failed; the log says why.
    """
    shutil.rmtree(out, ignore_errors=True)
    # Each worker reads one rank's whole file; half of the memory is left for the page cache.
    largest = max(path.stat().st_size for path in found.path.glob("*.pt"))
    room = int(runtime.mem_mb * 1_000_000 / 2 / largest)
    workers = max(1, min(room, runtime.threads_per_rank * runtime.ranks_per_node))
    # Another process does it, because ranks must not be forked after torch has computed here.
    context = multiprocessing.get_context("fork")
    process = context.Process(target=_convert, args=(found, out, runtime.zero_stage, workers))
    process.start()
    process.join()
    if process.exitcode:
        raise RuntimeError(
            f"checkpoint {found.path} of {found.num_ranks} ranks could not be converted for "
            f"{runtime.num_ranks} (status {process.exitcode}); continue on {found.num_ranks} ranks "
            f"at ZeRO stage {found.zero_stage}, or move it elsewhere to go on from the previous one"
        )


def _convert(found: Checkpoint, out: Path, zero_stage: int, workers: int) -> None:
    die_with_parent()
    from deepspeed.checkpoint.ds_to_universal import main

    load_only_weights()

    options = Namespace(
        input_folder=os.path.relpath(found.path, out.parent),
        output_folder=out.name,
        num_extract_workers=workers,
        num_merge_workers=workers,
        keep_temp_folder=False,
        strict=True,
        inject_missing_state=True,  # stages 1 and 2 need names that only pipelines write
    )
    os.chdir(out.parent)  # DeepSpeed treats the names of its folders as regular expressions
    with Path(os.devnull).open("w") as nothing, contextlib.redirect_stdout(nothing):
        main(options)
    out = Path(out.name)
    # Each ZeRO stage expects the same state under another name.
    have = next(name for name in _MODEL_STATES if (out / name).exists())
    for name in _MODEL_STATES:
        if name != have:
            os.link(out / have, out / name)
    step = _common_state(out / "zero" / "optimizer_state.pt")
    if found.zero_stage == 3 and zero_stage < 3:
        _with_steps(out / "zero", step)


def _common_state(path: Path) -> Any:
    """Make the state that ranks share fit every stage, and return the optimiser's step.

    At stage 3 DeepSpeed stores the first rank's whole state in it, and every rank would read that.
    """
    import deepspeed
    import torch

    state = load(path, map_location="cpu", mmap=True)
    if "optimizer_state_dict" in state:  # of stage 3
        step = state["optimizer_state_dict"]["state"][0]["step"]
    else:
        step = load(next(path.parent.glob("*/step.pt")))
    if isinstance(step, torch.Tensor):
        step = step.clone()
    groups = state["param_groups"]
    large = ("optimizer_state_dict", "fp32_flat_groups", "param_groups")
    small = {name: each for name, each in state.items() if name not in large}
    del state
    whole = path.with_suffix(".new")  # the old file is still mapped, so it must not change
    torch.save(
        {
            "ds_version": deepspeed.__version__,  # stages 1 and 2 read it
            **small,
            "param_groups": groups,
            "optimizer_state_dict": {"state": {0: {"step": step}}, "param_groups": groups},
        },
        whole,
    )
    whole.replace(path)
    return step


def _with_steps(folder: Path, step: Any) -> None:
    """Convert the parameters of a stage 3 checkpoint to the form of stages 1 and 2."""
    import torch

    for path in sorted(folder.glob("*/*.pt")):
        torch.save({"param": load(path)}, path)
    for parameter in folder.iterdir():
        if parameter.is_dir():
            torch.save(step, parameter / "step.pt")
