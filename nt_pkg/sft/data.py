"""Training data: rendering with the student's chat template, and the loss mask."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nt_pkg.config.students import Format, Training
from nt_pkg.dialogue.chat_template import dialogue_text, marked, token_ids
from nt_pkg.dialogue.formats import target_kind, training_pair
from nt_pkg.files.schemas import Row
from nt_pkg.identity.seeds import rng

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedTokenizerBase


def lengths_of(examples: Sequence[Row]) -> tuple["np.ndarray", "np.ndarray"]:
    """Return the tokens of every example, and how many of them have loss."""
    import numpy as np

    lengths = np.array([len(row["input_ids"]) for row in examples])
    return lengths, lengths - np.array([row["num_prompt_tokens"] for row in examples])


def render(
    tokenizer: "PreTrainedTokenizerBase", user: str, assistant: str
) -> tuple[list[int], int]:
    """Return (token ids of the whole dialogue, number of prompt tokens).

    The loss covers everything after the prompt: the assistant's turn with its end-of-turn token,
    and nothing of the question. What a template writes after that token, such as a newline, is
    removed.

    Raises:
        ValueError: the template does not write the generation prompt before the answer, changes
            the answer, or writes no end-of-turn token after it.
    """
    messages = [{"role": "user", "content": user}]
    prompt_text = dialogue_text(tokenizer, messages, asks=True)
    messages.append({"role": "assistant", "content": assistant})
    whole_text = dialogue_text(tokenizer, messages, asks=False)
    if not whole_text.startswith(prompt_text):
        raise ValueError(
            "the chat template does not begin a dialogue with its own generation prompt, so the "
            "loss mask cannot be placed: use the training form of this family's template"
        )
    if marked(tokenizer, assistant).strip() not in whole_text[len(prompt_text) :]:
        raise ValueError(
            "the chat template changes the answer, for example by removing its reasoning: use the "
            "training form of this family's template"
        )
    # Prompt and answer are tokenised separately, because at inference the prompt is alone too.
    prompt = token_ids(tokenizer, prompt_text)
    answer = token_ids(tokenizer, whole_text[len(prompt_text) :])
    end = tokenizer.eos_token_id
    if end not in answer:
        raise ValueError(
            f"the chat template writes no {tokenizer.eos_token} after an answer: use a template "
            "that ends each answer with this token"
        )
    last = len(answer) - 1 - answer[::-1].index(end)
    return prompt + answer[: last + 1], len(prompt)


def build_examples(
    tokenizer_dir: Path,
    form: Format,
    training: Training,
    seed: int,
    subset: list[Row],
    prompts: list[Row],
    traces: list[Row],
    disagree: dict[str, bool],
) -> tuple[list[Row], dict[str, Any]]:
    """Return the tokenised examples of a subset in a format, ordered by id, and their counts.

    Responses over the limit are left out and counted, never cut.

    Args:
        tokenizer_dir: folder of the student.
        form: the distillation format.
        training: the limits.
        seed: seed of the run, for random mixes.
        subset: selected rows; only their ids are used.
        prompts: rows of the pool, at least those of the subset.
        traces: traces, at least those of the subset.
        disagree: id -> whether the models disagree; only difficulty mixes use it.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_dir)
    question = {row["id"]: row["question"] for row in prompts}
    trace = {row["id"]: row for row in traces}
    rows: list[Row] = []
    dropped: Counter[str] = Counter()
    for row_id in sorted(row["id"] for row in subset):
        target = target_kind(form.kind, form.p, seed, row_id, disagree.get(row_id))
        user, assistant = training_pair(
            question[row_id],
            trace[row_id]["reasoning"],
            trace[row_id]["answer"],
            target,
            form.think_words,
        )
        ids, num_prompt = render(tokenizer, user, assistant)
        if len(ids) - num_prompt > training.max_response_tokens:
            dropped[f"response over {training.max_response_tokens} tokens"] += 1
        elif len(ids) > training.max_example_tokens:
            dropped[f"example over {training.max_example_tokens} tokens"] += 1
        else:
            rows.append(
                {"id": row_id, "target": target, "input_ids": ids, "num_prompt_tokens": num_prompt}
            )
    if not rows:
        raise ValueError(
            f"all {len(subset)} examples were left out: {dict(dropped)}; raise the limits"
        )
    tokens = [len(row["input_ids"]) for row in rows]
    preview = rng("preview", seed).choice(rows)
    cut = preview["num_prompt_tokens"]
    return rows, {
        "num_examples": len(rows),
        "num_system2": sum(row["target"] == "system2" for row in rows),
        "num_tokens": sum(tokens),
        "num_response_tokens": sum(tokens) - sum(row["num_prompt_tokens"] for row in rows),
        "longest_tokens": max(tokens),
        "dropped": dict(sorted(dropped.items())),
        # Shows a reader what one example looks like and where its loss begins.
        "preview": {
            "no_loss": tokenizer.decode(preview["input_ids"][:cut]),
            "loss": tokenizer.decode(preview["input_ids"][cut:]),
        },
    }
