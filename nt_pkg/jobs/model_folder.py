"""The folder of a model that transformers is asked to load."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nt_pkg.files.foreign_text import one_line
from nt_pkg.jobs.command import is_raised_here

_OWN_CODE = (
    "the model needs code of its own (`auto_map` in its files), which this project never runs: "
    "take a model of a family that transformers has itself"
)
_REMEDY = "take a model that transformers can load, or fetch its files again if they were damaged"


@contextmanager
def loading(folder: Path) -> Iterator[None]:
    """Let a model that cannot be loaded be an error in one line, which names its folder.

    Raises:
        ValueError: the files are those of another kind of model, are damaged, or need code that
            comes with them.
    """
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        # A lack of memory, or a full disk, is no fault of the files.
        is_of_machine = type(error).__name__ == "OutOfMemoryError" or getattr(error, "errno", None)
        if is_of_machine or is_raised_here(error):
            raise
        why = f"{one_line(f'{type(error).__name__}: {error}')}; {_REMEDY}"
        said = _OWN_CODE if "trust_remote_code" in str(error) else why
        raise ValueError(f"{folder} cannot be loaded: {said}") from error


def check_whole(folder: Path, info: Mapping[str, Any], unused: str = "\n") -> None:
    """Look whether the files had all weights of a model: transformers makes up those that lack.

    Args:
        folder: of the model.
        info: what transformers says of the loading (`output_loading_info`).
        unused: how names of tensors begin that are not needed.

    Raises:
        ValueError: some are missing.
    """
    if missing := sorted(key for key in info["missing_keys"] if not key.startswith(unused)):
        raise ValueError(
            f"{folder} cannot be loaded: its files lack {len(missing)} tensors of the model, such "
            f"as {one_line(missing[0])}, and random numbers would take their place; {_REMEDY}"
        )
