"""What a training needs of its GPUs, against published numbers and what autograd keeps."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nt_pkg.config.load import read_study
from nt_pkg.config.students import Runtime, Training
from nt_pkg.config.study import Study
from nt_pkg.cost import memory
from nt_pkg.cost.decoder_shape import read_shape
from nt_pkg.cost.hardware import gpu_of
from nt_pkg.cost.memory import Setup
from nt_pkg.cost.training import misfits, most_tokens, need, training_cost
from nt_pkg.files.json_files import write_json
from nt_pkg.packing.balance import micro_batches
from nt_pkg.packing.steps import Steps
from nt_pkg.plan.validate import load_study
from nt_pkg.preflight import memory as check
from nt_pkg.snakemake_io.dry_run import Job
from nt_pkg.snakemake_io.timings import Timings
from scripts.plan import render
from tests.unit.preflight_world import facts, only, request

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config"
SHORT = {"max_example_tokens": 4096}, {"micro_batch_tokens": 4096}
STUDY = ROOT / "tests" / "study.yaml"
TINY = {
    "hidden_size": 64,
    "intermediate_size": 160,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 128,
}


def _study(training: dict[str, Any], runtime: dict[str, Any]) -> Study:
    """Return the tests' study with the paper's students, without activation checkpointing."""
    found = read_study([STUDY, CONFIG / "paper_models.yaml"])
    found["subsets"]["big"] = {**found["subsets"]["random-1000"], "size": 5000}
    for student in found["students"].values():
        student["runtime"].pop("activation_checkpointing", None)
    found["students"]["llama-3.1-8b"]["training"] = training
    found["students"]["llama-3.1-8b"]["runtime"] |= runtime
    return load_study(found)


@pytest.fixture(scope="module")
def study() -> Study:
    return _study({}, {})


@pytest.mark.parametrize(
    ("student", "count"),
    [
        ("llama-3.1-8b", 8_030_261_248),
        ("qwen-2.5-7b", 7_615_616_512),
        ("llama-3.3-70b", 70_553_706_496),
    ],
)
def test_parameters_of_the_papers_students(study: Study, student: str, count: int) -> None:
    architecture = study.students[student].architecture
    assert architecture and read_shape(architecture).num_parameters == count


@pytest.mark.parametrize(
    ("a_step", "longest", "room", "ranks", "most"),
    [
        (400_000, 20_480, 32_768, 1, 32_768),
        (400_000, 20_480, 8_192, 1, 20_480),  # an example of its own
        (400_000, 20_480, 13_312, 2, 13_312),
        (400_000, 20_480, 4_096, 4, 5_120),
        # Steps of 512 tokens: the last example begins at token 511 at the latest.
        (512, 256, 32_768, 1, 767),
        (512, 256, 32_768, 2, 384),
        (512, 256, 600, 1, 600),
        (64, 256, 128, 1, 256),
    ],
)
def test_tokens_of_a_micro_batch(
    a_step: int, longest: int, room: int, ranks: int, most: int
) -> None:
    training = Training(tokens_per_step=a_step, max_example_tokens=longest)
    runtime = Runtime(num_ranks=ranks, sequence_parallel=ranks, micro_batch_tokens=room)
    assert most_tokens(training, runtime) == most


@pytest.mark.parametrize("room", [64, 300, 1000])
def test_the_trainer_never_has_more_tokens_and_sometimes_as_many(room: int) -> None:
    training = Training(tokens_per_step=512, max_example_tokens=256, epochs={0: 1})
    runtime = Runtime(micro_batch_tokens=room)
    found = []
    for seed in range(8):
        lengths = np.array([255] + [256] * 40)
        for step in Steps(lengths, lengths, training, seed):
            of_step = lengths[step.examples]
            for parts in micro_batches(of_step, of_step.astype(float), runtime):
                found += [int(of_step[part].sum()) for part in parts]
    assert max(found) == {64: 256, 300: 256, 1000: 767}[room]
    assert max(found) <= most_tokens(training, runtime)


@pytest.mark.parametrize(
    "more",
    [
        {"model_type": "llama"},
        {"model_type": "llama", "attention_bias": True, "mlp_bias": True},
        {"model_type": "qwen2", "tie_word_embeddings": True, "head_dim": None},
        {"model_type": "qwen3"},
    ],
)
def test_parameters_are_those_of_transformers(more: dict[str, Any]) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    found = {key: value for key, value in {**TINY, **more}.items() if value is not None}
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**found))
    assert read_shape(found).num_parameters == model.num_parameters()
    assert read_shape(model.config.to_dict()) == read_shape(found)  # as a training sees it


def test_an_unknown_architecture_is_named() -> None:
    with pytest.raises(ValueError, match="and this is mamba"):
        read_shape({**TINY, "model_type": "mamba"})
    with pytest.raises(ValueError, match="vocab_size is not in"):
        read_shape({key: value for key, value in TINY.items() if key != "vocab_size"})


def test_states_are_those_of_the_zero_paper() -> None:
    """Figure 1 of arXiv 1910.02054: 7.5 billion parameters on 64 GPUs."""
    found = [
        sum(memory.states(7_500_000_000, Setup(64, stage, 1)).values()) / 1e9 for stage in (1, 2, 3)
    ]
    assert found == pytest.approx([31.4, 16.6, 1.9], abs=0.05)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_activations_are_what_autograd_keeps(dtype: str) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokens = 48

    def kept(num_layers: int) -> int:
        config = LlamaConfig(**{**TINY, "num_hidden_layers": num_layers})
        model = LlamaForCausalLM(config).to(getattr(torch, dtype))
        weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
        found: dict[int, torch.Tensor] = {}

        def note(tensor: torch.Tensor) -> torch.Tensor:
            place = tensor.untyped_storage().data_ptr()
            if place not in weights:
                found[place] = tensor
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            model.model(input_ids=torch.zeros((1, tokens), dtype=torch.long), use_cache=False)
        return sum(tensor.untyped_storage().nbytes() for tensor in found.values())

    a_layer = (kept(3) - kept(1)) / 2
    assert a_layer == memory.kept_per_token(read_shape(TINY), dtype) * tokens


def test_what_fits(study: Study) -> None:
    large = read_shape(study.students["llama-3.3-70b"].architecture or {})
    large_gpu, gpu = gpu_of("nvidia_h200"), gpu_of("h100")
    assert large_gpu and gpu
    h200, h100 = large_gpu.memory, gpu.memory
    asked = Setup(num_ranks=32, zero_stage=3, micro_batch_tokens=32_768)
    assert not memory.fits(large, asked, h200)
    # The paper trained it on 32 H200.
    assert memory.smallest_that_fits(large, asked, h200) == replace(asked, recomputes=True)
    # Its offloaded states leave room on fewer and smaller GPUs.
    offloaded = memory.smallest_that_fits(large, replace(asked, offload="all"), h100)
    assert offloaded and offloaded.num_ranks < 32
    longest = replace(asked, micro_batch_tokens=10**7)
    assert memory.smallest_that_fits(large, longest, h200) is None


def test_a_start_takes_a_share_and_one_module(study: Study) -> None:
    large = read_shape(study.students["llama-3.3-70b"].architecture or {})
    on_32 = Setup(num_ranks=32, zero_stage=3, micro_batch_tokens=8192)
    share, embedding = 70_553_706_496 / 32, 128_256 * 8192

    def taken(setup: Setup) -> float:
        found = memory.start_up(large, setup, 0)
        return sum(found.values()) - found["reserve"]

    assert taken(replace(on_32, offload="all")) == 2 * embedding
    assert taken(on_32) == pytest.approx(2 * share + 4 * share + 2 * 1e9, rel=1e-6)
    assert taken(replace(on_32, zero_stage=2)) > 2 * 70_553_706_496
    # Not a token fits beside it, but it is loaded: the start must not be what refuses.
    for setup in (on_32, replace(on_32, offload="all"), replace(on_32, zero_stage=1)):
        step = sum(memory.parts(large, replace(setup, micro_batch_tokens=1), 0).values())
        assert sum(memory.start_up(large, setup, 0).values()) <= step


@pytest.mark.parametrize(
    ("name", "gib", "teraflops"),
    [
        *(("a100", 40, 312), ("A100-PCIE-40GB", 40, 312), ("gpu:a100:4", 40, 312)),
        *(("a100_80gb", 80, 312), ("NVIDIA A100-SXM4-80GB", 80, 312), ("a100-80", 80, 312)),
        ("NVIDIA A100 80GB PCIe", 80, 312),
        *(("h100", 79.6, 989), ("NVIDIA H100 80GB HBM3", 79.6, 989)),
        *(("NVIDIA H100 PCIe", 79.6, 756), ("nvidia_h100_nvl", 93.6, 835), ("H100-NVL", 93.6, 835)),
        *(("nvidia_h200", 140.4, 989), ("NVIDIA GH200 480GB", 95.6, 990)),
        *(("l4", 22.5, 121), ("l40", 45, 181), ("NVIDIA L40S", 45, 362), ("a10", 22.5, 125)),
        ("AMD Instinct MI300X OAM", 192, 1307),
        ("tesla_v100-sxm2-32gb", 32, None),
    ],
)
def test_names_of_gpus(name: str, gib: float, teraflops: float | None) -> None:
    gpu = gpu_of(name)
    assert gpu and gpu.memory / memory.GIB == pytest.approx(gib, abs=0.05)
    assert gpu.peak("bfloat16") == (teraflops and teraflops * 1e12)
    assert gpu.peak("float32") is None


@pytest.mark.parametrize(
    "name",
    # Most begin like a GPU that is known; a slice of one (MIG) is none.
    [
        *("rtx_a1000", "a1000", "a100x", "a10g", "a100_1g.5gb", "h100_mig_1g.10gb", "h20", "b200"),
        *("rtx_4000_ada", "nvidia_geforce_rtx_3090", "mi300a", "gpu", "", None),
    ],
)
def test_gpus_that_only_look_like_one(name: str | None) -> None:
    assert gpu_of(name) is None


def _train(student: str, gpu: str = "h100") -> Job:
    wildcards = {"student": student, "subset": "big", "format": "system2", "seed": "0"}
    resources = {"gpu_model": gpu} if gpu else {}
    return Job("train", False, wildcards, (), None, 8, resources=resources)


def test_preflight_refuses_what_cannot_fit(study: Study, tmp_path: Path) -> None:
    asking = replace(
        request("train", gpus=8, slurm_partition="gpu"),
        owners=frozenset({"students.llama-3.1-8b"}),
    )
    cluster = facts()  # its nodes have H100
    refused = only(check.fit_in_gpus(study, tmp_path, [asking], cluster), "FAIL")
    assert "students.llama-3.1-8b does not fit: 230.9 GiB of 79.6 on each of 8 h100" in refused
    assert "activation_checkpointing true" in refused

    short = _study(*SHORT)
    assert [each.level for each in check.fit_in_gpus(short, tmp_path, [asking], cluster)] == ["ok"]

    unknown = only(
        check.fit_in_gpus(study, tmp_path, [asking], replace(cluster, nodes=None)), "warn"
    )
    assert "the type of its GPUs is not known" in unknown


def test_a_start_refuses_only_what_is_known_not_to_fit(study: Study, tmp_path: Path) -> None:
    types = {"llama-3.1-8b": "h100", "llama-3.3-70b": "gtx", "micro-llama": "h100"}  # no size known
    (line,) = misfits(study, types, tmp_path)
    assert line.startswith("students.llama-3.1-8b does not fit: 230.9 GiB of 79.6 on each of 8")
    assert "num_ranks and gpu 4, activation_checkpointing true" in line
    assert misfits(_study(*SHORT), types, tmp_path) == []
    # An example longer than a micro-batch has one of its own, shared by some ranks if need be.
    long = _study({"max_example_tokens": 8192}, {"micro_batch_tokens": 4096})
    assert misfits(long, types, tmp_path)
    shared = _study(
        {"max_example_tokens": 16_384}, {"micro_batch_tokens": 4096, "sequence_parallel": 4}
    )
    assert misfits(shared, types, tmp_path) == []


def test_a_fetched_config_counts_before_the_declared_one(study: Study, tmp_path: Path) -> None:
    write_json(tmp_path / "assets" / "students" / "llama-3.1-8b" / "config.json", TINY)
    assert need(study, "llama-3.1-8b", tmp_path, "h100").shape == read_shape(TINY)
    with pytest.raises(ValueError, match=r"students\.micro-llama is not known: fetch it"):
        need(study, "micro-llama", tmp_path, "h100")


def test_cost_is_measured_where_a_training_has_ended(study: Study, tmp_path: Path) -> None:
    run = _train("llama-3.1-8b").wildcards
    needed = need(study, run["student"], tmp_path, "h100")
    before = training_cost(study, run, tmp_path, needed)
    assert before and before.basis == "arithmetic"
    assert before.tokens == 5000 * 4500 * 10
    flops = 6 * (8_030_261_248 - 128_256 * 4096) + 6 * 32 * 4096 * 4500
    assert before.balance and 0.99 < before.balance < 1
    alone = before.tokens * flops / (0.35 * 989e12)
    assert before.gpu_seconds == pytest.approx(alone / before.balance)

    folder = tmp_path / "results"
    write_json(
        folder / "sft_data" / "llama-3.1-8b" / "big" / "system2" / "seed0.json",
        {"num_examples": 4990, "num_tokens": 4990 * 3000},
    )
    write_json(
        folder / "sft" / "llama-3.1-8b" / "other" / "system2" / "seed1" / "run.json",
        {"tokens_per_second": 80_000.0, "world_size": 8},
    )
    after = training_cost(study, run, tmp_path, needed)
    assert after and after.basis == "measured speed" and after.balance is None  # it is in the speed
    assert after.gpu_seconds == pytest.approx(4990 * 3000 * 10 / 10_000)


def test_a_plan_says_what_fits_and_what_it_costs(study: Study, tmp_path: Path) -> None:
    jobs = [_train("llama-3.1-8b"), _train("qwen-2.5-7b"), _train("micro-llama")]
    text = render(jobs, Timings(tmp_path), study, tmp_path)
    assert "llama-3.1-8b: DOES NOT FIT: 230.9 GiB of 79.6 on each of 8 h100, ZeRO-3: " in text
    assert "the smallest that fits, in students.qwen-2.5-7b.runtime: " in text
    assert "1 run of 225.0 million tokens: 8.8 GPU-hours each, 0 % of it waiting for the" in text
    assert "micro-llama: the size of students.micro-llama is not known" in text
    assert re.search(r"^sft +3 +8 +17\.0 +\?$", text, re.M), text
    assert re.search(r"^  micro-llama +1 +8 +\? +\?  not known$", text, re.M)

    unnamed = render([_train("llama-3.1-8b", "")], Timings(tmp_path), study, tmp_path)
    assert "as if all GPUs were H100: the profile names no gpu_type" in unnamed
    assert "llama-3.1-8b: DOES NOT FIT if its GPUs are H100: 230.9 GiB of 79.6" in unnamed
