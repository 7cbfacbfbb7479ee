"""Students and trainings that several files share; each is made once."""

import importlib
import logging
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from nt_pkg.config.students import Runtime
from nt_pkg.sft import launch
from tests.unit.sft.tiny import (
    Outcome,
    Runs,
    job_of,
    make_student,
    weights,
)


@pytest.fixture(scope="session")
def quiet_and_warm() -> Iterator[None]:
    """Import before the ranks are forked, so that none of them has to."""
    import torch
    from transformers.utils import logging as transformers_logging

    for name in (
        "deepspeed.runtime.zero.muon.muon_optimizer",
        "deepspeed.utils.zero_to_fp32",
        "transformers.models.llama.modeling_llama",
    ):
        importlib.import_module(name)
    torch.set_num_threads(1)
    transformers_logging.disable_progress_bar()
    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    yield


@pytest.fixture(scope="session")
def student(quiet_and_warm: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_student(tmp_path_factory.mktemp("student") / "tied", is_tied=True)


@pytest.fixture(scope="session")
def untied(quiet_and_warm: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_student(tmp_path_factory.mktemp("student") / "untied", is_tied=False)


@pytest.fixture(scope="session")
def trained(student: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Return a function that trains once per runtime and gives the result and the weights."""

    @cache
    def run(**runtime: Any) -> Outcome:
        work = tmp_path_factory.mktemp("work")
        result = launch.train(job_of(student, work, runtime=Runtime(**runtime)))
        return result, weights(work / "checkpoint")

    return run
