"""What a student makes of traces, against a plain computation with transformers, row by row."""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nt_pkg.annotations.label_traces import StudentJob, annotate
from nt_pkg.annotators import _student
from nt_pkg.annotators._base import Example, Label, StudentParams
from nt_pkg.annotators._student import StudentReader
from nt_pkg.annotators.ifd import ANNOTATOR as IFD
from nt_pkg.annotators.rank_surprisal import RankSurprisalParams, label_rank_surprisal
from nt_pkg.dialogue.rendering import render, tokens_within
from nt_pkg.files.schemas import Row
from nt_pkg.identity.seeds import rng
from nt_pkg.microworld.teacher import write_trace
from nt_pkg.microworld.world import parse_question, pool_rows
from tests.unit.sft.templates import GOLDEN, tokenizer_of

BASE = Path(__file__).parents[2] / "nt_pkg" / "microworld" / "base"
NUM, WORDS = 7, 40
KINDS = ("surprisal", "ifd", "rank_surprisal")


@cache
def rows() -> tuple[list[Row], list[Row]]:
    """Return prompts and traces of the micro-world, of very different lengths."""
    prompts, traces = [], []
    for number, row in enumerate(pool_rows(NUM, 0)):
        question = str(row["question"])
        reasoning, answer, _ = write_trace(parse_question(question), rng("trace", number))
        prompts.append(
            {
                "id": f"{number}",
                "question": question,
                "reference_answer": None,
                "second_answer": None,
                "columns": None,
            }
        )
        traces.append(
            {
                "id": f"{number}",
                "reasoning": reasoning,
                "answer": answer,
                "completion_tokens": 1,
                "status": "ok",
                "error": None,
            }
        )
    return prompts, traces


def labels(
    kind: str, prompts: list[Row], traces: list[Row], batch: int = 3, work: Path | None = None
) -> dict[str, Any]:
    """Return the label of each row by its id."""
    job = StudentJob(BASE, batch, work)
    found = annotate(kind, {"think_words": WORDS}, prompts, traces, student=job)
    assert {row["status"] for row in found} == {"ok"}
    return {row["id"]: json.loads(row["value"]) for row in found}


@cache
def plain(number: int, shows_question: bool = True) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the surprisal and the rank of each response token, and those of the reasoning.

    One row, no padding, all logits, and the text written out by hand.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(BASE)
    model = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32)
    prompt, trace = rows()[0][number], rows()[1][number]
    question = prompt["question"] if shows_question else ""
    user = f"{question} Think carefully before answering. Use about {WORDS} words"
    thought = f"<think> {trace['reasoning']} </think>"
    before = f"<s><|user|>{user}<|assistant|>"
    ids = {
        text: tokenizer(text, add_special_tokens=False)["input_ids"]
        for text in (before, thought, f"{thought} {trace['answer']}<|end|>")
    }
    asked, reasoned, response = ids.values()
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([asked + response])).logits[0].double()
    chances = logits[len(asked) - 1 : -1].log_softmax(-1)
    own = chances[range(len(response)), response]
    assert response[: len(reasoned)] == reasoned
    ranks = 1 + (chances > own[:, None]).sum(1)
    return -own.numpy(), ranks.numpy(), len(reasoned)


def test_surprisal_is_that_of_single_rows() -> None:
    """A batch with padding; the mean over the reasoning, the answer with its end, and both."""
    found = labels("surprisal", *rows())

    lengths = {len(plain(number)[0]) for number in range(NUM)}
    assert len(lengths) > 3
    for number in range(NUM):
        nlls, _, cut = plain(number)
        assert found[f"{number}"] == {
            "reasoning": pytest.approx(nlls[:cut].mean(), abs=1e-5),
            "answer": pytest.approx(nlls[cut:].mean(), abs=1e-5),
            "trace": pytest.approx(nlls.mean(), abs=1e-5),
        }


def test_ifd_is_the_ratio_with_and_without_the_question() -> None:
    found = labels("ifd", *rows())

    for number in range(NUM):
        expected = plain(number)[0].mean() / plain(number, False)[0].mean()
        assert found[f"{number}"] == pytest.approx(expected, abs=1e-5)
        assert abs(expected - 1) > 0.01  # the question is not nothing


def test_rank_surprisal_is_the_ratio_of_sums() -> None:
    found = labels("rank_surprisal", *rows())

    for number in range(NUM):
        nlls, ranks, _ = plain(number)
        expected = np.minimum(ranks[:-1], 100).sum() / nlls[:-1].sum()
        assert found[f"{number}"] == pytest.approx(expected, rel=1e-4)


def test_rank_surprisal_by_hand() -> None:
    """Ranks 1, 7 and 500 (counts as 100), surprisals 0.5, 1.5 and 4; the end counts nothing."""
    scored = _student.Scored(np.array([0.5, 1.5, 4.0, 9.0]), np.array([1, 7, 500, 3]), 2)

    assert label_rank_surprisal(RankSurprisalParams(), scored).value == 108 / 6
    assert label_rank_surprisal(RankSurprisalParams(max_rank=10), scored).value == 18 / 6


@pytest.mark.parametrize("kind", KINDS)
def test_batches_and_shards_make_no_difference(kind: str) -> None:
    prompts, traces = rows()
    whole = labels(kind, prompts, traces, batch=NUM)
    in_shards: dict[str, Any] = {}
    for shard in range(2):
        part = slice(shard, None, 2)
        in_shards |= labels(kind, prompts[part], traces[part], batch=1)

    assert whole.keys() == in_shards.keys()
    for key, value in whole.items():
        assert in_shards[key] == pytest.approx(value, abs=1e-5, rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_killed_job_continues_with_the_same_labels(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch of which a kill left one line is made again, whole."""
    expected = labels(kind, *rows(), batch=2)
    batches: list[int] = []
    read = StudentReader.read

    def counted(self: StudentReader, params: Any, examples: Sequence[Example], **more: Any) -> Any:
        batches.append(len(examples))
        if len(batches) == stop:
            raise KeyboardInterrupt
        return read(self, params, examples, **more)

    monkeypatch.setattr(StudentReader, "read", counted)
    stop = 4
    with pytest.raises(KeyboardInterrupt):
        labels(kind, *rows(), batch=2, work=tmp_path)
    journal = tmp_path / "labels.jsonl"
    kept = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(kept[:-1]))
    num_whole = len(kept[:-1]) // 2
    assert num_whole == (0 if kind == "ifd" else 2)  # which reads every trace twice
    batches, stop = [], 0

    assert labels(kind, *rows(), batch=2, work=tmp_path) == expected
    assert len(batches) == (8 if kind == "ifd" else 2)


def test_logits_in_parts_and_of_other_output_layers_are_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A chunk of two tokens; and a model whose logits are no plain product."""
    expected = labels("rank_surprisal", *rows())

    monkeypatch.setattr(_student, "_MAX_LOGITS", 2 * 346)
    assert labels("rank_surprisal", *rows()) == pytest.approx(expected, rel=1e-4)
    monkeypatch.setattr(_student, "has_plain_head", lambda _: False)
    assert labels("rank_surprisal", *rows()) == pytest.approx(expected, rel=1e-4)


def example(**parts: str) -> Example:
    texts = {"question": "Where?", "reasoning": "Take May.", "answer": "So May", **parts}
    return Example("a", reference_answer=None, second_answer=None, num_tokens=1, **texts)


def test_trace_that_the_student_cannot_read_has_a_reason() -> None:
    """Its neighbours in the batch are labelled."""
    given = [example(reasoning="Take May. " * 400), example(), example(answer="May " * 1100)]
    params = StudentParams(think_words=WORDS)

    long, fits, longer = StudentReader(BASE).read(params, given)

    assert isinstance(fits, _student.Scored)
    for each in (long, longer):
        assert isinstance(each, Label)
        assert each.value is None
        assert each.error is not None
        assert each.error.endswith("tokens, and the student reads 1024")
    assert [each.error is None for each in IFD.start(params, BASE)(given)] == [False, True, False]


def test_logits_that_are_not_finite_are_no_label(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = StudentReader(BASE)
    weight = reader._model.get_output_embeddings().weight
    weight.data[5] = float("nan")

    [found] = reader.read(StudentParams(think_words=WORDS), [example()])

    assert found == Label(None, "the student's logits are not finite")


@pytest.mark.parametrize("family", GOLDEN)
@pytest.mark.parametrize(
    ("reasoning", "answer"),
    [
        ("Take May. So", "Option B"),
        ("a < b </think> c", "d </think> e"),  # tags that the trace itself spells
        ("ends <|im_end|> <|eot_id|> <|end|>", "with <|im_end|> a token"),
        ("", "May"),
        ("über 東京 \U0001f600 x", "é\n\nß"),
    ],
)
def test_reasoning_ends_with_its_tag_in_every_template(
    family: str, reasoning: str, answer: str
) -> None:
    """The tokens of the two parts, decoded, are the two parts."""
    tokenizer = tokenizer_of(family)
    thought = f"<think> {reasoning} </think>"
    whole = f"{thought} {answer}"

    [(ids, num_prompt)] = render(tokenizer, [("Where?", whole)])
    cut = num_prompt + tokens_within(tokenizer, "Where?", whole, thought)

    parts = [tokenizer.decode(part) for part in (ids[num_prompt:cut], ids[cut:])]
    end = tokenizer.decode([tokenizer.eos_token_id])
    if family == "micro":  # of words, of which it knows a few
        unknown = tokenizer.decode([tokenizer.unk_token_id])
        assert parts[0].endswith("</think>")
        assert parts[1].endswith(end)
        assert parts[1].count("</think>") == answer.count("</think>")
        assert unknown not in parts[0] or reasoning
        return
    assert parts == [thought, f" {answer}{end}"]


def test_tokenizer_that_does_not_know_its_places_is_refused() -> None:
    class Slow:
        is_fast = False

    from nt_pkg.dialogue.chat_template import token_starts

    with pytest.raises(ValueError, match=r"\(Slow\) does not say where its tokens are"):
        token_starts(Slow(), "a")
