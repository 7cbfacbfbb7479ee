"""Supervised fine-tuning: what the loss sees, and a loop that is exact however it is run."""

import dataclasses
import importlib
import logging
import math
import multiprocessing
import os
import re
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from nt_pkg.config.engines import Sampling
from nt_pkg.config.students import Format, Runtime, Training
from nt_pkg.cost.flops import peak_flops
from nt_pkg.engines._base import Request
from nt_pkg.engines.chat import Chat
from nt_pkg.files import schemas
from nt_pkg.files.json_files import read_json
from nt_pkg.files.parquet import read_parquet, write_parquet
from nt_pkg.identity.seeds import rng
from nt_pkg.sft import data, launch, rank
from nt_pkg.sft import train as loop
from nt_pkg.sft.data import plan_steps, render
from nt_pkg.sft.export import export_model
from nt_pkg.sft.preview import preview
from nt_pkg.sft.stopping import EXIT_STATUS, Stopped

pytestmark = pytest.mark.filterwarnings("ignore")
ROOT = Path(__file__).parents[2]
MICRO = ROOT / "nt_pkg" / "microworld" / "base"
_FORK = multiprocessing.get_context("fork")

# Chat templates in the shape of the families' own, as far as one question and answer go. Those of
# Llama-3.1 and 3.3 have a fixed date as their default; that of 3.2 asks for the day.
_LLAMA = (
    "{{- bos_token }}"
    "{%- if not date_string is defined %}{%- set date_string = DEFAULT %}{%- endif %}"
    "{%- if messages[0]['role'] == 'system' %}"
    "{%- set system_message = messages[0]['content']|trim %}{%- set messages = messages[1:] %}"
    "{%- else %}{%- set system_message = '' %}{%- endif %}"
    "{{- '<|start_header_id|>system<|end_header_id|>\n\n' }}"
    "{{- 'Cutting Knowledge Date: December 2023\n' }}"
    "{{- 'Today Date: ' + date_string + '\n\n' }}"
    "{{- system_message }}{{- '<|eot_id|>' }}"
    "{%- for message in messages %}"
    "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'"
    " + message['content'] | trim + '<|eot_id|>' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}"
    "{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif %}"
)
QWEN = (
    "{%- if messages[0]['role'] == 'system' %}"
    "{{- '<|im_start|>system\n' + messages[0]['content'] + '<|im_end|>\n' }}"
    "{%- else %}"
    "{{- '<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant."
    "<|im_end|>\n' }}"
    "{%- endif %}"
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)
TEMPLATES = {
    "llama-3.1": _LLAMA.replace("DEFAULT", "'26 Jul 2024'"),
    "llama-3.2": _LLAMA.replace("DEFAULT", "strftime_now('%d %b %Y')"),
    "llama-3.3": _LLAMA.replace("DEFAULT", "'26 Jul 2024'"),
    "qwen2.5": QWEN,
    # One that asks for the day and takes none from outside.
    "dated": _LLAMA.replace("+ date_string +", "+ strftime_now('%d %b %Y') +"),
}
_LLAMA_TOKENS = ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
_QWEN_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


@cache
def tokenizer_of(family: str) -> Any:
    """Return a tokenizer of single bytes with the template and special tokens of a family.

    Its first 256 ids are the bytes in the order of the alphabet; special tokens follow.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    if family == "micro":
        return AutoTokenizer.from_pretrained(MICRO)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE({char: at for at, char in enumerate(alphabet)}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    tokens = _QWEN_TOKENS if family == "qwen2.5" else _LLAMA_TOKENS
    core.add_special_tokens([AddedToken(token, special=True) for token in tokens])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token=tokens[0], eos_token=tokens[-1]
    )
    tokenizer.chat_template = TEMPLATES[family]
    return tokenizer


GOLDEN = {
    "micro": ("<s><|user|>{user}<|assistant|>", "{answer}<|end|>"),
    "llama-3.1": (
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: "
        "December 2023\nToday Date: 26 Jul 2024\n\n<|eot_id|><|start_header_id|>user"
        "<|end_header_id|>\n\n{user}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
        "{answer}<|eot_id|>",
    ),
    "qwen2.5": (
        "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant."
        "<|im_end|>\n<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n",
        "{answer}<|im_end|>",
    ),
}


for other in ("llama-3.2", "llama-3.3", "dated"):  # they differ in their defaults only
    GOLDEN[other] = GOLDEN["llama-3.1"]


def golden_ids(tokenizer: Any, text: str) -> list[int]:
    """Return the ids of a text in a tokenizer of bytes, found by hand."""
    known = tokenizer.get_vocab()
    pieces = re.findall(r"<\|[a-z_]+\|>|.|\n", text)
    return [known[piece.replace(" ", "\u0120").replace("\n", "\u010a")] for piece in pieces]


@pytest.mark.parametrize("family", GOLDEN)
@pytest.mark.parametrize("answer", ["<think> Take May. </think> So", "Option"])
def test_loss_covers_the_answer_with_its_end_and_nothing_else(family: str, answer: str) -> None:
    tokenizer = tokenizer_of(family)
    user = "Where does she end? Think"

    ids, num_prompt = render(tokenizer, user, answer)

    decoded = [tokenizer.decode(part) for part in (ids[:num_prompt], ids[num_prompt:])]
    expected = [each.format(user=user, answer=answer) for each in GOLDEN[family]]
    if family == "micro":  # its decoder puts a space between tokens
        decoded = [each.replace(" ", "") for each in decoded]
        expected = [each.replace(" ", "") for each in expected]
    else:
        assert ids == golden_ids(tokenizer, "".join(expected))
        assert num_prompt == len(golden_ids(tokenizer, expected[0]))
    assert decoded == expected
    assert ids[-1] == tokenizer.eos_token_id
    assert tokenizer.eos_token_id not in ids[num_prompt:-1]


@pytest.mark.parametrize("family", GOLDEN)
def test_prompt_is_the_one_of_inference(family: str) -> None:
    """The ids a student is asked with are those that it was trained behind."""
    tokenizer = tokenizer_of(family)
    ids, num_prompt = render(tokenizer, "Where?", "<think> a </think> b")
    chat = Chat(tokenizer, {tokenizer.eos_token_id})

    assert chat.prompt_ids(Request("a", "Where?")) == ids[:num_prompt]
    forced = chat.prompt_ids(Request("a", "Where?", "<think>"))
    assert ids[: len(forced)] == forced


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("message.content +", "message.content.split('</think>')[-1] +", "changes the answer"),
        ("'<|im_start|>assistant\n'", "'<|im_start|>assistant\n<think>\n'", "does not begin"),
        ("message.content + '<|im_end|>\n'", "message.content + '\n'", "writes no <|im_end|>"),
        ("message.role +", "strftime_now(message.role) +", "writes the day of the call"),
    ],
)
def test_template_that_would_spoil_the_loss_is_refused(old: str, new: str, message: str) -> None:
    """Templates of reasoning models drop the trace of past turns."""
    from copy import deepcopy

    tokenizer = deepcopy(tokenizer_of("qwen2.5"))
    assert old in tokenizer.chat_template
    tokenizer.chat_template = tokenizer.chat_template.replace(old, new)

    with pytest.raises(ValueError, match=r"chat template .*") as caught:
        render(tokenizer, "Where?", "<think> a </think> b")

    assert message in str(caught.value)


def rows(num: int) -> dict[str, list[dict[str, Any]]]:
    """Return a subset, its prompts and its traces; trace n has n words."""
    return {
        "subset": [{"id": f"r{n}", "rank": n, "score": 1.0} for n in reversed(range(num))],
        "prompts": [{"id": f"r{n}", "question": "Where?"} for n in range(num)],
        "traces": [
            {"id": f"r{n}", "reasoning": " ".join(["May"] * n), "answer": "So"} for n in range(num)
        ],
    }


def build(form: Format, num: int = 10, **limits: int) -> tuple[list[Any], dict[str, Any]]:
    given = rows(num)
    disagree = {f"r{n}": n % 2 == 0 for n in range(num)}
    return data.build_examples(MICRO, form, Training(**limits), 0, **given, disagree=disagree)


SYSTEM2 = Format(kind="system2", think_words=40)


def test_examples_are_counted_and_ordered() -> None:
    found, counts = build(SYSTEM2)

    assert [row["id"] for row in found] == sorted(f"r{n}" for n in range(10))
    responses = [len(row["input_ids"]) - row["num_prompt_tokens"] for row in found]
    # <think>, n words, </think>, the answer, the end.
    assert sorted(responses) == [n + 4 for n in range(10)]
    assert counts["num_examples"] == counts["num_system2"] == 10
    assert counts["num_response_tokens"] == sum(responses)
    assert counts["num_tokens"] == sum(len(row["input_ids"]) for row in found)
    assert counts["longest_tokens"] == max(len(row["input_ids"]) for row in found)
    assert counts["dropped"] == {}
    assert counts["preview"]["loss"].replace(" ", "").endswith("</think>So<|end|>")


def test_long_responses_are_left_out_whole_and_counted() -> None:
    found, counts = build(SYSTEM2, max_response_tokens=9)

    assert {row["id"] for row in found} == {f"r{n}" for n in range(6)}
    assert counts["dropped"] == {"response over 9 tokens": 4}
    assert all(row["input_ids"][-1] == 3 for row in found)  # none is cut


def test_examples_that_fit_no_row_are_left_out_and_counted() -> None:
    whole = max(len(row["input_ids"]) for row in build(SYSTEM2)[0])

    found, counts = build(SYSTEM2, row_tokens=whole - 3)

    assert len(found) == 7
    assert counts["dropped"] == {f"example over row_tokens={whole - 3}": 3}


def test_nothing_left_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"all 10 examples were left out.*raise the limits"):
        build(SYSTEM2, max_response_tokens=3)


def test_difficulty_mix_of_examples() -> None:
    found, counts = build(Format(kind="difficulty_mix"))

    assert {r["id"] for r in found if r["target"] == "system2"} == {
        f"r{n}" for n in range(0, 10, 2)
    }
    assert counts["num_system2"] == 5
    system1 = [row for row in found if row["target"] == "system1"]
    assert {len(row["input_ids"]) - row["num_prompt_tokens"] for row in system1} == {2}


def test_preview_marks_what_bears_loss() -> None:
    found, _ = build(Format(kind="difficulty_mix", think_words=40))
    first = data.steps_of(found, Training(row_tokens=64), 0)[0].rows[0]

    text = preview(tokenizer_of("micro"), found, first, 0)

    marked = [line for line in text.splitlines() if "[[" in line and line.startswith("<s>")]
    assert len(marked) == 10 + len(first.examples)  # five of each kind, and the row
    for line in marked:
        prompt, _, rest = line.partition("[[")
        assert "Where?" in prompt
        assert prompt.endswith("<|assistant|>")
        assert rest.endswith("So <|end|>]]")
        assert ("<think>" in rest) == ("Think" in prompt)
    assert f"first packed row: {len(first.examples)} documents, {first.num_tokens} tokens" in text


# Steps.


@pytest.mark.parametrize("seed", range(6))
def test_every_example_once_per_epoch_in_rows_that_fit(seed: int) -> None:
    draw = rng("steps", seed)
    lengths = [draw.randint(1, 40) for _ in range(draw.randint(1, 90))]
    losses = [draw.randint(1, length) for length in lengths]
    training = Training(
        row_tokens=40, tokens_per_step=draw.choice([1, 40, 170, 9999]), epochs={0: 3}
    )

    steps = plan_steps(lengths, losses, training, seed)

    packed = [row for step in steps for row in step.rows]
    assert Counter(e for row in packed for e in row.examples) == dict.fromkeys(
        range(len(lengths)), 3
    )
    for row in packed:
        assert row.num_tokens == sum(lengths[e] for e in row.examples) <= 40
    most = max(1, training.tokens_per_step // 40)
    for step in steps:
        assert 1 <= len(step.rows) <= most
        assert step.num_loss_tokens == sum(losses[e] for row in step.rows for e in row.examples)
    assert plan_steps(lengths, losses, training, seed) == steps


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    training = Training(row_tokens=10, tokens_per_step=10, epochs={0: 2})
    one, other = (plan_steps([10] * 20, [1] * 20, training, seed) for seed in (0, 1))

    assert one != other
    assert one[:20] != one[20:]


def test_packing_wastes_little() -> None:
    draw = rng("waste")
    lengths = [draw.randint(5, 60) for _ in range(500)]
    training = Training(row_tokens=128, tokens_per_step=128, epochs={0: 1})

    num_rows = len(plan_steps(lengths, lengths, training, 0))

    assert num_rows <= 1.05 * math.ceil(sum(lengths) / 128)


# The loop.

EXAMPLES = [
    {
        "id": f"row{n}",
        "target": "system2",
        "input_ids": [rng("ids", n, at).randrange(6, 300) for at in range(5 + 3 * n % 17)],
        "num_prompt_tokens": 2 + n % 3,
    }
    for n in range(22)
]
TRAINING = Training(
    learning_rate=0.01,
    warmup_steps=3,
    max_grad_norm=0.5,  # so low that every step is clipped
    tokens_per_step=128,
    row_tokens=32,
    epochs={0: 4},
    dtype="float32",
)


@pytest.fixture(scope="module", autouse=True)
def _quiet_and_warm() -> Iterator[None]:
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


def make_student(folder: Path, is_tied: bool, **changes: Any) -> Path:
    """Write a tiny random student with the micro-world's tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=347,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=64,
        tie_word_embeddings=is_tied,
        initializer_range=0.2,
        bos_token_id=2,
        eos_token_id=3,
        pad_token_id=0,
        **changes,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    for path in MICRO.iterdir():
        if "token" in path.name or "template" in path.name:
            shutil.copy(path, folder)
    return folder


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_student(tmp_path_factory.mktemp("student") / "tied", is_tied=True)


@pytest.fixture(scope="module")
def untied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_student(tmp_path_factory.mktemp("student") / "untied", is_tied=False)


def job_of(student: Path, work: Path, **changes: Any) -> loop.Job:
    values = {"examples": EXAMPLES, "training": TRAINING, "runtime": Runtime(), "seed": 0}
    work.mkdir(parents=True, exist_ok=True)
    return loop.Job(student, work=work, **{**values, **changes})


def weights(checkpoint: Path) -> dict[str, Any]:
    from deepspeed.utils.zero_to_fp32 import get_fp32_state_dict_from_zero_checkpoint

    return get_fp32_state_dict_from_zero_checkpoint(str(checkpoint.parent), tag=checkpoint.name)


def complete(work: Path) -> list[str]:
    """Return the checkpoints that all ranks have finished, in order."""
    folders = [path for path in work.glob("step*") if path.name[4:].isdigit()]
    folders.sort(key=lambda path: int(path.name[4:]))
    return [
        path.name
        for path in folders
        if (path / "rank-0.json").exists()
        and len(list(path.glob("rank-*.json"))) == read_json(path / "rank-0.json")["num_ranks"]
    ]


def losses(result: dict[str, Any]) -> list[float]:
    return [loss for _, loss in result["loss_curve"]]


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return tag -> (step, value) as TensorBoard shows them: a start purges the steps behind it."""
    from tensorboardX.proto.event_pb2 import Event, SessionLog

    found: dict[str, list[tuple[int, float]]] = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        content, at = path.read_bytes(), 0
        while at < len(content):  # length, its checksum, the event, its checksum
            end = at + 12 + int.from_bytes(content[at : at + 8], "little")
            event, at = Event.FromString(content[at + 12 : end]), end + 4
            if event.session_log.status == SessionLog.START:
                found = {
                    tag: [each for each in values if each[0] < event.step]
                    for tag, values in found.items()
                }
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


_step = loop._Trainer._step


Outcome = tuple[dict[str, Any], dict[str, Any]]
Runs = Callable[..., Outcome]


@pytest.fixture(scope="module")
def trained(student: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Return a function that trains once per runtime and gives the result and the weights."""

    @cache
    def run(**runtime: Any) -> Outcome:
        work = tmp_path_factory.mktemp("work")
        result = launch.train(job_of(student, work, runtime=Runtime(**runtime)))
        return result, weights(work / "checkpoint")

    return run


def by_hand(student: Path) -> Outcome:
    """Train in plain torch, one unpacked example at a time."""
    import torch
    from torch.nn.functional import cross_entropy
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(student, dtype=torch.float32)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=0.01, betas=TRAINING.betas, weight_decay=TRAINING.weight_decay
    )
    lengths = [len(row["input_ids"]) for row in EXAMPLES]
    response = [len(row["input_ids"]) - row["num_prompt_tokens"] for row in EXAMPLES]
    curve, norms = [], []
    for number, step in enumerate(plan_steps(lengths, response, TRAINING, 0), start=1):
        optimizer.param_groups[0]["lr"] = 0.01 * min(1.0, number / 3)
        total = 0.0
        for example in (EXAMPLES[e] for row in step.rows for e in row.examples):
            ids = torch.tensor([example["input_ids"]])
            cut = example["num_prompt_tokens"]
            logits = model(ids).logits[0, cut - 1 : -1]
            loss = cross_entropy(logits, ids[0, cut:], reduction="sum") / step.num_loss_tokens
            loss.backward()
            total += float(loss)
        norms.append(
            float(torch.nn.utils.clip_grad_norm_(model.parameters(), TRAINING.max_grad_norm))
        )
        optimizer.step()
        optimizer.zero_grad()
        curve.append(total)
    found = {name: tensor.detach() for name, tensor in model.named_parameters()}
    return {"losses": curve, "norms": norms}, found


def test_packed_training_is_unpacked_training_by_hand(student: Path, trained: Runs) -> None:
    """Mask, packing, loss scale, accumulation, warm-up, clipping and decay in one comparison."""
    import torch

    with ProcessPoolExecutor(1, mp_context=_FORK) as pool:
        hand, expected = pool.submit(by_hand, student).result()

    result, found = trained(num_ranks=1, zero_stage=2, rows_per_micro_batch=1)

    assert min(hand["norms"]) > TRAINING.max_grad_norm
    assert result["num_steps"] == len(hand["losses"]) == 12
    assert hand["losses"][-1] < hand["losses"][0]
    assert losses(result) == pytest.approx(hand["losses"], rel=1e-5)
    assert result["grad_norm_curve"] == pytest.approx(hand["norms"], rel=1e-4)
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize(
    ("num_ranks", "zero_stage", "rows_per_micro_batch", "options"),
    [
        (1, 2, 8, {}),
        (2, 2, 1, {}),
        (2, 1, 1, {"offload": "optimizer"}),
        (2, 3, 2, {"attention": "sdpa"}),
        (2, 3, 1, {"offload": "all", "activation_checkpointing": True}),
        (4, 2, 1, {"activation_checkpointing": True}),
    ],
)
def test_layout_of_a_run_is_not_in_its_result(
    trained: Runs,
    num_ranks: int,
    zero_stage: int,
    rows_per_micro_batch: int,
    options: dict[str, Any],
) -> None:
    """Micro-batches, ranks and ZeRO stages give the same curve and weights but for rounding."""
    import torch

    alone, expected = trained(num_ranks=1, zero_stage=2, rows_per_micro_batch=1)

    result, found = trained(
        num_ranks=num_ranks,
        zero_stage=zero_stage,
        rows_per_micro_batch=rows_per_micro_batch,
        **options,
    )

    assert losses(result) == pytest.approx(losses(alone), rel=1e-5)
    one, other = (each["grad_norm_curve"] for each in (result, alone))
    assert one == pytest.approx(other, rel=1e-4)
    for key in ("num_examples", "num_steps", "num_tokens", "num_parameters"):
        assert result[key] == alone[key], key
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=2e-5)


def test_output_layer_of_its_own_is_gathered_for_a_loss_in_chunks(
    untied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ZeRO-3 shards its weight, and few tokens have their logits in memory at a time."""
    whole = launch.train(job_of(untied, tmp_path / "whole"))
    monkeypatch.setattr("nt_pkg.sft.loss._MAX_LOGITS", 3 * 347)

    runtime = Runtime(num_ranks=2, zero_stage=3)
    found = launch.train(job_of(untied, tmp_path / "sharded", runtime=runtime))

    assert losses(found) == pytest.approx(losses(whole), rel=1e-5)
    assert found["grad_norm_curve"] == pytest.approx(whole["grad_norm_curve"], rel=1e-4)


def test_counts_of_a_run(trained: Runs) -> None:
    result, _ = trained(num_ranks=1, zero_stage=2, rows_per_micro_batch=1)

    assert result["num_examples"] == 22
    assert result["num_tokens"] == 4 * sum(len(row["input_ids"]) for row in EXAMPLES)
    assert result["final_loss"] == pytest.approx(losses(result)[-1], abs=1e-6)
    layer = 2 * 16 * 16 + 2 * 16 * 8 + 3 * 16 * 32 + 2 * 16
    assert result["num_parameters"] == 347 * 16 + 2 * layer + 16
    assert result["learning_rate_curve"] == [0.01 * min(1, n / 3) for n in range(1, 13)]
    assert all(rate > 0 for rate in result["tokens_per_second_curve"])
    assert result["tokens_per_second"] > 0
    assert 100 < result["peak_memory_mb"] < 10_000
    lengths = [len(row["input_ids"]) for row in EXAMPLES]
    bearing = sum(lengths) - sum(row["num_prompt_tokens"] for row in EXAMPLES)
    squares = sum(length**2 for length in lengths)
    one_epoch = sum(lengths) * (2 * layer + 16) + bearing * 347 * 16 + 2 * 16 * squares
    assert result["flops"] == 6 * 4 * one_epoch
    assert result["mfu"] is None  # of a CPU no peak is known


# Kills.

KILLED = Runtime(num_ranks=2, zero_stage=2, checkpoint_steps=3)


def kill_one_rank(trainer: loop._Trainer, number: int, step: Any) -> float:
    """Die without a word at step 8, between the checkpoints of steps 6 and 9."""
    if number == 8:
        trainer._checkpoints.finish()
    if number == 8 and trainer._rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return _step(trainer, number, step)


def test_resumed_run_is_the_uninterrupted_one_bitwise(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: Runs
) -> None:
    import torch

    undisturbed, expected = trained(num_ranks=2, zero_stage=2, rows_per_micro_batch=1)
    job = job_of(student, tmp_path / "work", runtime=KILLED)
    monkeypatch.setattr(loop._Trainer, "_step", kill_one_rank)
    with pytest.raises(RuntimeError, match="ended with status -9; run the same command again"):
        launch.train(job)
    monkeypatch.undo()
    assert complete(job.work) == ["step3", "step6"]
    (job.work / "step9").mkdir()  # what a kill inside a checkpoint leaves

    result = launch.train(job)

    assert result["loss_curve"] == undisturbed["loss_curve"]
    assert result["grad_norm_curve"] == undisturbed["grad_norm_curve"]
    found = weights(job.work / "checkpoint")
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    shown = events(job.work / "tensorboard")
    assert shown.keys() == {"loss", "learning_rate", "grad_norm", "tokens_per_second"}
    for tag in ("learning_rate", "grad_norm"):
        curve = result[f"{tag}_curve"]
        assert shown[tag] == [(n, pytest.approx(value)) for n, value in enumerate(curve, start=1)]
    assert shown["loss"] == [(n, pytest.approx(loss, abs=1e-5)) for n, loss in result["loss_curve"]]

    # Killed after the last checkpoint: nothing is trained again.
    monkeypatch.setattr(loop._Trainer, "_step", None)
    again = launch.train(job)
    assert again["loss_curve"] == result["loss_curve"]
    monkeypatch.undo()

    # Killed while the last checkpoint was moved to the results: it is made again.
    shutil.rmtree(job.work / "checkpoint")
    assert launch.train(job)["loss_curve"] == result["loss_curve"]
    found = weights(job.work / "checkpoint")
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def wait_at_step_two(trainer: loop._Trainer, number: int, step: Any) -> float:
    """Say where this rank is, then hang."""
    if number == 2:
        (trainer._job.work / f"rank{os.getpid()}").touch()
        time.sleep(600)
    return _step(trainer, number, step)


def test_ranks_die_with_the_process_that_started_them(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(student, tmp_path / "work", runtime=KILLED)
    monkeypatch.setattr(loop._Trainer, "_step", wait_at_step_two)
    parent = _FORK.Process(target=launch.train, args=(job,))
    parent.start()
    ranks: list[int] = []
    deadline = time.monotonic() + 60
    while len(ranks) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
        ranks = [int(path.name.removeprefix("rank")) for path in job.work.glob("rank*")]
    assert len(ranks) == 2

    parent.kill()
    parent.join()

    deadline = time.monotonic() + 10
    while any(map(is_alive, ranks)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_alive, ranks))


def is_alive(pid: int) -> bool:
    """Return whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


# Signals.


def tell_one_rank(trainer: loop._Trainer, number: int, step: Any) -> float:
    """Send the second rank alone a signal in step 5."""
    if number == 5 and trainer._rank == 1:
        os.kill(os.getpid(), signal.SIGUSR2)
    return _step(trainer, number, step)


def tell_the_launcher(trainer: loop._Trainer, number: int, step: Any) -> float:
    """Send the process that started the ranks a signal in step 5, and wait until it is here."""
    if number == 5:
        if trainer._rank == 0:
            os.kill(os.getppid(), signal.SIGTERM)
        deadline = time.monotonic() + 60
        while not any(trainer._notes.flags) and time.monotonic() < deadline:
            time.sleep(0.01)
    return _step(trainer, number, step)


@pytest.mark.parametrize(
    ("tell", "name"), [(tell_one_rank, "SIGUSR2"), (tell_the_launcher, "SIGTERM")]
)
def test_run_stopped_by_a_signal_goes_on_as_if_undisturbed(
    student: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trained: Runs,
    tell: Callable[..., float],
    name: str,
) -> None:
    """Whoever gets the signal, all ranks stop after the same step, with a checkpoint of it."""
    import torch

    undisturbed, expected = trained(num_ranks=2, zero_stage=2, rows_per_micro_batch=1)
    job = job_of(student, tmp_path / "work", runtime=KILLED)
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(loop._Trainer, "_step", tell)

    with pytest.raises(Stopped) as caught:
        launch.train(job)

    monkeypatch.undo()
    assert str(caught.value) == (
        f"stopped by {name} after step 5 of 12; checkpoint written; the same command continues"
    )
    assert caught.value.num_new_steps == 5
    assert complete(job.work) == ["step3", "step5"]
    assert signal.getsignal(signal.SIGTERM) is before

    result = launch.train(job)

    assert result["loss_curve"] == undisturbed["loss_curve"]
    found = weights(job.work / "checkpoint")
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_signal_in_a_step_with_a_checkpoint_or_in_the_last_one_costs_nothing(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[str] = []
    save = loop._Trainer._save

    def noting(trainer: loop._Trainer, tag: str, number: int) -> None:
        with (trainer._job.work / "saved").open("a") as file:
            file.write(f"{tag}\n")
        save(trainer, tag, number)

    monkeypatch.setattr(loop._Trainer, "_save", noting)
    monkeypatch.setattr(loop._Trainer, "_step", stop_in_six_and_twelve)
    job = job_of(student, tmp_path / "work", runtime=Runtime(checkpoint_steps=6))

    with pytest.raises(Stopped, match="after step 6 of 12"):
        launch.train(job)
    result = launch.train(job)

    saved = (job.work / "saved").read_text().split()
    assert saved == ["step6", "checkpoint"]
    assert len(losses(result)) == 12


def stop_in_six_and_twelve(trainer: loop._Trainer, number: int, step: Any) -> float:
    """Send this rank a signal in two steps."""
    if number in (6, 12):
        os.kill(os.getpid(), signal.SIGTERM)
    return _step(trainer, number, step)


def test_second_signal_ends_the_training_at_once(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(student, tmp_path / "work", runtime=KILLED)
    monkeypatch.setattr(loop._Trainer, "_step", wait_at_step_two)
    monkeypatch.setattr("nt_pkg.sft.stopping._SAME_SECONDS", 0.0)
    parent = _FORK.Process(target=launch.train, args=(job,))
    parent.start()
    ranks: list[int] = []
    deadline = time.monotonic() + 60
    while len(ranks) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
        ranks = [int(path.name.removeprefix("rank")) for path in job.work.glob("rank*")]

    assert parent.pid is not None
    for _ in range(2):
        os.kill(parent.pid, signal.SIGTERM)
        time.sleep(0.2)
    parent.join(10)

    assert parent.exitcode == EXIT_STATUS
    assert not any(map(is_alive, ranks))


def test_training_stops_before_the_time_of_its_slurm_job_is_over(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "bin" / "scontrol"
    script.parent.mkdir()
    script.write_text(
        "#!/bin/sh\necho JobState=RUNNING Requeue=1 RunTime=00:55:00 TimeLimit=01:00:00\n"
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.setattr(loop._Trainer, "_step", wait_in_step_two)

    with pytest.raises(Stopped, match=r"stopped by SIGUSR2 after step [12] of 12"):
        launch.train(job_of(student, tmp_path / "work", runtime=Runtime(stop_seconds=300)))


def wait_in_step_two(trainer: loop._Trainer, number: int, step: Any) -> float:
    """Wait until this rank is told to stop."""
    deadline = time.monotonic() + 60
    while number == 2 and not any(trainer._notes.flags) and time.monotonic() < deadline:
        time.sleep(0.01)
    return _step(trainer, number, step)


def test_checkpoints_come_by_time_as_well(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop._Trainer, "_step", kill_one_rank)
    runtime = Runtime(num_ranks=2, checkpoint_steps=100, checkpoint_minutes=1e-9)
    job = job_of(student, tmp_path / "work", runtime=runtime)

    with pytest.raises(RuntimeError, match="status -9"):
        launch.train(job)

    assert complete(job.work) == ["step5", "step6", "step7"]


# Several nodes.

TWO_NODES = Runtime(nodes=2, num_ranks=4, zero_stage=3, gpu=4, stop_seconds=0)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in a Slurm job on two nodes that are this machine."""
    script = tmp_path / "bin" / "srun"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {sys.executable} {ROOT}/tests/unit/fake_srun.py "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")  # as the site of such a cluster has to


def placed_job(student: Path, work: Path, examples: list[dict[str, Any]]) -> loop.Job:
    path = work.parent / "examples.parquet"
    write_parquet(path, schemas.EXAMPLES, examples)
    job = job_of(student, work, runtime=TWO_NODES, examples=read_parquet(path, schemas.EXAMPLES))
    return dataclasses.replace(job, examples_path=path)


@pytest.mark.usefixtures("cluster")
def test_ranks_of_two_nodes_train_as_those_of_one(
    student: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    trained: Runs,
) -> None:
    """They are processes of their own, placed by srun, and one of them is told to stop."""
    job = placed_job(student, tmp_path / "work", EXAMPLES)
    monkeypatch.setenv(
        "PRELOAD",
        "transformers.models.llama.modeling_llama deepspeed "
        "deepspeed.runtime.zero.muon.muon_optimizer submitit.helpers",
    )
    with monkeypatch.context() as patch:
        patch.setenv("SIGNAL_RANK", "3")
        with pytest.raises(Stopped, match="stopped by SIGUSR2 after step 1 of 12"):
            launch.train(job)
    assert complete(job.work) == ["step1"]

    result = launch.train(job)

    alone, _ = trained(num_ranks=1, zero_stage=2, rows_per_micro_batch=1)
    assert losses(result) == pytest.approx(losses(alone), rel=1e-5)
    assert (result["world_size"], result["zero_stage"]) == (4, 3)
    assert "training on the CPU: 0 GPUs for 2 ranks of a node" in capfd.readouterr().err


@pytest.mark.usefixtures("cluster")
def test_first_rank_that_fails_on_some_node_is_shown(student: Path, tmp_path: Path) -> None:
    job = placed_job(student, tmp_path / "work", EXAMPLES)
    (tmp_path / "examples.parquet").unlink()

    with pytest.raises(RuntimeError, match="continue at the last checkpoint") as caught:
        launch.train(job)

    text = str(caught.value)
    assert re.search(r"Rank \d on n\d ended first: Exited with exit code 1", text)
    assert re.search(r"\d: FileNotFoundError.*examples.parquet", text)


def test_several_nodes_need_slurm(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)

    with pytest.raises(ValueError, match=r"Slurm job only.*or set runtime.nodes"):
        launch.train(placed_job(student, tmp_path / "work", EXAMPLES))


def test_command_that_places_the_ranks() -> None:
    runtime = Runtime(nodes=2, num_ranks=16, threads_per_rank=8, gpu=16)

    command = launch.placed_command(runtime, Path("/shared/job.json"), 29500)

    assert " ".join(command.argv) == (
        "srun --nodes=2 --ntasks=16 --ntasks-per-node=8 --cpus-per-task=8 --gpus-per-node=8 "
        f"--kill-on-bad-exit=1 --label {sys.executable} -m nt_pkg.sft.rank /shared/job.json"
    )
    assert command.env == {
        "SUBMITIT_EXECUTOR": "slurm",
        "SLURM_JOB_NUM_NODES": "2",
        "MASTER_PORT": "29500",
    }
    cpu = launch.placed_command(Runtime(nodes=2, num_ranks=2), Path("job.json"), 1)
    assert not any("gpus" in each for each in cpu.argv)


def test_first_failure_is_found_among_the_last_words_of_the_others() -> None:
    lines = [
        "0: 12:00:00 optimiser steps: 3 of 9",
        "3: Traceback (most recent call last):",
        "3: RuntimeError: CUDA out of memory",
        "srun: error: n2: task 3: Exited with exit code 1",
        "srun: Terminating StepId=12.0",
        "0: slurmstepd: error: *** STEP 12.0 ON n1 CANCELLED AT 2026-01-01T12:00:01 ***",
        "1: RuntimeError: Connection closed by peer [10.0.0.2]",
        "srun: error: n1: tasks 0-1: Terminated",
        "srun: error: n2: task 2: Terminated",
    ]

    assert launch.first_failure(lines) == (
        "Rank 3 on n2 ended first: Exited with exit code 1. Its last lines:\n"
        "3: Traceback (most recent call last):\n3: RuntimeError: CUDA out of memory"
    )
    assert launch.first_failure(["srun: error: Unable to create step"]).endswith("create step")


def test_ranks_of_one_machine_listen_on_the_loopback_only(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop._Trainer, "_step", noting_listeners)
    runtime = Runtime(num_ranks=2)
    job = job_of(student, tmp_path / "work", runtime=runtime, examples=EXAMPLES[:2])

    launch.train(job)

    addresses = (job.work / "listeners").read_text().split()
    assert len(addresses) >= 2
    assert {each.partition(":")[0] for each in addresses} == {"0100007F"}  # 127.0.0.1


def noting_listeners(trainer: loop._Trainer, number: int, step: Any) -> float:
    """Note the addresses at which this process waits for connections."""
    links = [path for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    own = {str(path.readlink()) for path in links}
    with (trainer._job.work / "listeners").open("a") as file:
        for table in ("tcp", "tcp6"):
            for line in Path("/proc/net", table).read_text().splitlines()[1:]:
                (
                    _,
                    address,
                    _,
                    state,
                    *_,
                ) = line.split()
                if state == "0A" and f"socket:[{line.split()[9]}]" in own:
                    file.write(f"{address}\n")
    return _step(trainer, number, step)


def test_a_node_names_the_address_that_the_others_reach() -> None:
    assert rank.own_address("localhost", "localhost") == "127.0.0.1"
    assert rank.own_address("10.0.0.1", "10.0.0.2") == "10.0.0.1"


# Numbers that are none.


def test_loss_that_is_not_finite_stops_and_names_the_examples(
    untied: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """One token's embedding is broken; the step that meets it stops."""
    broken = spoilt(untied, tmp_path / "student", token=333, value=math.nan)
    examples = [*EXAMPLES, {**EXAMPLES[0], "id": "culprit", "input_ids": [8, 333, 9, 10, 3]}]

    with pytest.raises(RuntimeError, match="ended with status 1"):
        launch.train(job_of(broken, tmp_path / "work", examples=examples))

    text = capfd.readouterr().err
    assert "is not finite (loss nan); its examples: " in text
    assert "culprit" in text
    assert not (tmp_path / "work" / "result.json").exists()


def test_gradient_that_overflows_stops_and_names_the_examples(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The loss is finite, but DeepSpeed would skip the step and go on."""
    plain = make_student(tmp_path / "plain", is_tied=False, rms_norm_eps=1e-40)
    broken = spoilt(plain, tmp_path / "student", token=333, value=0.0)
    examples = [{**EXAMPLES[0], "id": "culprit", "input_ids": [8, 333, 9, 10, 3]}]

    with pytest.raises(RuntimeError, match="ended with status 1"):
        launch.train(job_of(broken, tmp_path / "work", examples=examples))

    assert "gradient of step 1 is not finite (loss 6" in capfd.readouterr().err


def test_training_that_diverges_stops_and_names_the_examples(
    untied: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    training = TRAINING.model_copy(update={"learning_rate": 10.0, "warmup_steps": 0})

    with pytest.raises(RuntimeError, match="ended with status 1"):
        launch.train(job_of(untied, tmp_path / "work", training=training))

    text = capfd.readouterr().err
    assert "the training diverges: the loss of step 2 is" in text
    assert "lower training.learning_rate" in text
    assert re.search(r"its examples: row\d+ row\d+", text)


def test_share_of_a_peak_is_known_for_the_usual_gpus_only() -> None:
    assert peak_flops("NVIDIA H100 80GB HBM3", "bfloat16") == 989e12
    assert peak_flops("NVIDIA H100 PCIe", "bfloat16") == 756e12
    assert peak_flops("NVIDIA A100-SXM4-80GB", "bfloat16") == 312e12
    assert peak_flops("NVIDIA H200", "float32") is None
    assert peak_flops("NVIDIA GeForce RTX 3090", "bfloat16") is None


def spoilt(student: Path, folder: Path, token: int, value: float) -> Path:
    """Return a copy of a student with one constant row of input embeddings."""
    from transformers import AutoModelForCausalLM

    shutil.copytree(student, folder)
    model = AutoModelForCausalLM.from_pretrained(student)
    model.get_input_embeddings().weight.data[token] = value
    model.save_pretrained(folder)
    return folder


# Export.

REPEATED = [
    {"id": f"row{n}", "target": "system2", "input_ids": ids, "num_prompt_tokens": cut}
    for ids, cut in [
        render(tokenizer_of("micro"), "Where does she end?", "<think> Take </think> So")
    ]
    for n in range(4)
]


@pytest.mark.parametrize("is_tied", [True, False])
@pytest.mark.parametrize(("dtype", "ranks"), [("float32", 1), ("bfloat16", 2)])
def test_exported_model_is_the_trained_one_and_stops(
    student: Path, untied: Path, tmp_path: Path, is_tied: bool, dtype: str, ranks: int
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from nt_pkg.engines.transformers import TransformersEngine

    base = student if is_tied else untied
    training = Training(
        learning_rate=0.01, tokens_per_step=64, row_tokens=64, epochs={0: 30}, dtype=dtype
    )
    runtime = Runtime(num_ranks=ranks, zero_stage=3 if is_tied and ranks > 1 else 2)
    job = job_of(base, tmp_path / "work", examples=REPEATED, training=training, runtime=runtime)
    launch.train(job)

    manifest = export_model(job.work / "checkpoint", base, tmp_path / "hf", dtype)

    kind = getattr(torch, dtype)
    found = AutoModelForCausalLM.from_pretrained(tmp_path / "hf", dtype="auto")
    assert found.dtype == kind
    state, expected = found.state_dict(), weights(job.work / "checkpoint")
    assert {name: t.dtype for name, t in state.items()} == dict.fromkeys(state, kind)
    assert state.keys() - expected.keys() <= ({"lm_head.weight"} if is_tied else set())
    assert all(torch.equal(state[name], t.to(kind)) for name, t in expected.items())
    tied = found.get_input_embeddings().weight is found.get_output_embeddings().weight
    assert tied is is_tied
    assert manifest["num_tensors"] == len(state) - is_tied
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(manifest["files"])

    engine = TransformersEngine(tmp_path / "hf", "digest", batch_size=2)
    requests = [Request("a", "Where does she end?"), Request("b", "Where does she end?", "<think>")]
    answers = engine.generate(requests, Sampling(max_tokens=20))
    assert [answer.text for answer in answers] == ["<think> Take </think> So"] * 2
    assert [answer.finish_reason for answer in answers] == ["stop", "stop"]
    assert [answer.completion_tokens for answer in answers] == [5, 4]


def test_checkpoint_of_another_model_is_not_exported(student: Path, tmp_path: Path) -> None:
    """A tensor that the checkpoint lacks must not be filled from the untrained student."""
    job = job_of(student, tmp_path / "work", examples=EXAMPLES[:2])
    launch.train(job)
    larger = make_student(tmp_path / "larger", is_tied=True, attention_bias=True)

    with pytest.raises(ValueError, match=r"missing \['model.layers.0.self_attn.k_proj.bias'"):
        export_model(job.work / "checkpoint", larger, tmp_path / "hf", "float32")
