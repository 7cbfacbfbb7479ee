"""Choose the checkpoint from which the ranks of a training continue, before they start."""

import logging
from pathlib import Path
from typing import Any

from nt_pkg.config.students import Runtime
from nt_pkg.files.json_files import read_json, write_json
from nt_pkg.sft.checkpoint_files import LAST, newest
from nt_pkg.sft.universal import convert

logger = logging.getLogger(__name__)
UNIVERSAL = "universal"  # the folder of a converted checkpoint
_RESUME = "resume.json"  # tells the ranks which checkpoint to load


def prepare(work: Path, runtime: Runtime) -> None:
    """Choose the checkpoint to continue from; called before the ranks start.

    A checkpoint of another number of ranks or another ZeRO stage is converted first. That of the
    last step is not: no rank loads its weights.
    """
    found = newest(work)
    plan: dict[str, Any] = {"tag": found.path.name if found else None, "from": None}
    is_done = found is not None and found.path.name == LAST
    if (
        found
        and not is_done
        and (found.num_ranks, found.zero_stage) != (runtime.num_ranks, runtime.zero_stage)
    ):
        plan = {"tag": UNIVERSAL, "from": found.path.name}
        logger.info(
            "%s was written by %d ranks at ZeRO stage %d: converting it for %d ranks at stage %d",
            *(found.path.name, found.num_ranks, found.zero_stage),
            *(runtime.num_ranks, runtime.zero_stage),
        )
        convert(found, work / UNIVERSAL, runtime)
    write_json(work / _RESUME, plan)


def is_universal(work: Path) -> bool:
    """Return whether `prepare` chose a checkpoint in DeepSpeed's universal form."""
    return bool(chosen(work)["tag"] == UNIVERSAL)


def chosen(work: Path) -> dict[str, Any]:
    """Return what `prepare` chose: `tag`, the folder to load, and `from`, what it was made from."""
    found: dict[str, Any] = read_json(work / _RESUME)
    return found
