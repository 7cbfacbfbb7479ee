"""Pre-training of the micro-world's base model, on one core and reproducible from its seed."""

import logging
import math
import random
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nt_pkg.identity.seeds import digest_int, rng
from nt_pkg.microworld.corpus import write_text
from nt_pkg.microworld.tokenizer import build_tokenizer
from nt_pkg.microworld.world import MAX_STEPS

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

_LOG = logging.getLogger(__name__)
_TEXTS_PER_CHUNK = 512
_SAVE_EVERY_SECONDS = 60
_LOG_EVERY_SECONDS = 10
_IGNORED = -100  # label of a token without loss


def build_model(seed: int) -> "LlamaForCausalLM":
    """Return the untrained student: a Llama of about 0.37 million parameters."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = build_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=96,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        initializer_range=0.06,  # at this width, facts are learned much sooner than with 0.02
        rope_parameters={"rope_type": "default", "rope_theta": 1000.0},
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(digest_int("microworld base", seed) % 2**63)
        return LlamaForCausalLM(config)


def pretrain(
    out_dir: Path,
    seed: int,
    num_steps: int,
    work_dir: Path,
    *,
    tokens_per_step: int = 2048,
    learning_rate: float = 4e-3,
    max_story_steps: int = MAX_STEPS,
) -> None:
    """Train the base model and save it with its tokenizer in `out_dir`.

    A checkpoint is written to `work_dir` about every minute. After a kill, the same call continues
    from it and ends with the same weights.
    """
    import torch

    tokenizer = build_tokenizer()
    model = build_model(seed)
    optimizer = torch.optim.AdamW(
        model.parameters(), learning_rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True
    )
    checkpoint = work_dir / f"base-{seed}-{num_steps}.pt"
    state: dict[str, Any] = {"step": 0, "chunk": 0, "batch": 0}
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        state = saved["state"]
        _LOG.info("continuing after step %d", state["step"])
    batches = _batches(
        tokenizer, seed, state["chunk"], state["batch"], tokens_per_step, max_story_steps
    )
    model.train()
    progress, saved_at = _Progress(num_steps), time.monotonic()
    while state["step"] < num_steps:
        chunk, batch, inputs, labels = next(batches)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * _schedule(state["step"], num_steps)
        loss = model(input_ids=inputs, labels=labels, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        state = {"step": state["step"] + 1, "chunk": chunk, "batch": batch + 1}
        progress.add(state["step"], inputs.numel(), loss.item())
        if time.monotonic() - saved_at >= _SAVE_EVERY_SECONDS:
            _save_checkpoint(checkpoint, model, optimizer, state)
            saved_at = time.monotonic()
    _export(model, tokenizer, out_dir)


class _Progress:
    """Logs loss and speed at most every ten seconds."""

    def __init__(self, num_steps: int) -> None:
        self._num_steps = num_steps
        self._since, self._num_tokens, self._losses = time.monotonic(), 0, list[float]()

    def add(self, step: int, num_tokens: int, loss: float) -> None:
        self._num_tokens += num_tokens
        self._losses.append(loss)
        seconds = time.monotonic() - self._since
        if seconds < _LOG_EVERY_SECONDS:
            return
        mean, rate = sum(self._losses) / len(self._losses), self._num_tokens / seconds
        _LOG.info("step %d/%d loss %.3f %.0f tok/s", step, self._num_steps, mean, rate)
        self._since, self._num_tokens, self._losses = time.monotonic(), 0, []


def _schedule(step: int, num_steps: int) -> float:
    """Return the share of the learning rate: 2 % warm-up, then a cosine down to 2 %."""
    warm = min(1.0, (step + 1) / (0.02 * num_steps))
    return warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / num_steps)))


def _batches(
    tokenizer: "PreTrainedTokenizerFast",
    seed: int,
    chunk: int,
    skip: int,
    tokens_per_step: int,
    max_story_steps: int,
) -> "Iterator[tuple[int, int, torch.Tensor, torch.Tensor]]":
    """Yield (chunk, batch, inputs, labels) endlessly; texts of similar length share a batch."""
    import torch

    @lru_cache(maxsize=50_000)
    def encode(piece: str) -> tuple[int, ...]:
        return tuple(tokenizer(piece, add_special_tokens=False).input_ids)

    while True:
        rand = rng("microworld corpus", seed, chunk)
        rows = []
        for _ in range(_TEXTS_PER_CHUNK):
            row: list[tuple[int, int]] = []
            for piece, is_learned in write_text(rand, max_story_steps):
                row += [(token, token if is_learned else _IGNORED) for token in encode(piece)]
            rows.append(row)
        rows.sort(key=len)
        for batch, group in enumerate(_group(rows, tokens_per_step, rand)):
            if batch < skip:
                continue
            inputs = torch.full((len(group), max(map(len, group))), tokenizer.pad_token_id)
            labels = torch.full_like(inputs, _IGNORED)
            for index, row in enumerate(group):
                pairs = torch.tensor(row)
                inputs[index, : len(row)], labels[index, : len(row)] = pairs[:, 0], pairs[:, 1]
            yield chunk, batch, inputs, labels
        chunk, skip = chunk + 1, 0


def _group(
    rows: list[list[tuple[int, int]]], tokens_per_step: int, rand: random.Random
) -> list[list[list[tuple[int, int]]]]:
    """Return rows, sorted by length, in shuffled batches of at most `tokens_per_step` tokens."""
    groups: list[list[list[tuple[int, int]]]] = [[]]
    for row in rows:
        if groups[-1] and len(row) * (len(groups[-1]) + 1) > tokens_per_step:
            groups.append([])
        groups[-1].append(row)
    rand.shuffle(groups)
    return groups


def _save_checkpoint(
    path: Path, model: "LlamaForCausalLM", optimizer: "torch.optim.Optimizer", state: dict[str, int]
) -> None:
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    torch.save(
        {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "state": state}, part
    )
    part.replace(path)


def _export(model: "LlamaForCausalLM", tokenizer: "PreTrainedTokenizerFast", out_dir: Path) -> None:
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(out_dir)
    tokenizer.save_pretrained(out_dir)
