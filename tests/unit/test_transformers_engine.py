"""Generation with the micro-world's untrained student."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from nt_pkg.config.engines import EngineRuntime, Sampling
from nt_pkg.engines._base import Completion, Model, Request
from nt_pkg.engines._chat import Chat, ChatParams
from nt_pkg.engines.transformers import TransformersEngine

BASE = Path(__file__).parents[2] / "nt_pkg" / "microworld" / "base"
QUESTIONS = [
    "Ann starts at March with ruby. Where does she end?",
    "Bob drifts from Monday with ember and gale. Where does he land?",
    "Eve came to Mars with swan and zinc. Where did she start?",
]
REQUESTS = [Request(str(n), text, seed=n) for n, text in enumerate(QUESTIONS)]
GREEDY = Sampling(max_tokens=12)


def start(folder: Path, template: str | None = None, batch: int = 4) -> TransformersEngine:
    """Return an engine of the model in a folder."""
    params = ChatParams(chat_template=template)
    return TransformersEngine(params, EngineRuntime(batch=batch), Model(folder, "digest"))


@pytest.fixture(scope="module")
def engine() -> TransformersEngine:
    import torch

    torch.set_num_threads(1)
    return start(BASE)


def changed(folder: Path, name: str, **values: Any) -> TransformersEngine:
    """Return an engine of the student with some values of a JSON file replaced."""
    shutil.copytree(BASE, folder)
    before = json.loads((BASE / name).read_text())
    (folder / name).write_text(json.dumps({**before, **values}))
    return start(folder)


def texts(found: list[Completion]) -> list[str]:
    return [each.text for each in found]


def test_greedy_text_does_not_depend_on_the_batch(engine: TransformersEngine) -> None:
    together = engine.generate(REQUESTS, GREEDY)

    assert [each.id for each in together] == ["0", "1", "2"]
    assert texts(together) == [engine.generate([each], GREEDY)[0].text for each in REQUESTS]
    assert len(set(texts(together))) > 1
    for each in together:
        assert each.completion_tokens <= 12
        assert each.finish_reason == ("length" if each.completion_tokens == 12 else "stop")


def test_forced_prefix_is_part_of_the_text(engine: TransformersEngine) -> None:
    [found] = engine.generate([Request("x", QUESTIONS[0], "<think>")], GREEDY)

    assert found.text.startswith("<think> ")
    plain = engine.generate([REQUESTS[0]], GREEDY)[0]
    assert found.prompt_tokens == plain.prompt_tokens + 1


def test_drawn_text_depends_on_the_seeds_of_the_requests_only(engine: TransformersEngine) -> None:
    import torch

    sampling = Sampling(max_tokens=12, temperature=2)
    one = engine.generate(REQUESTS, sampling)
    torch.rand(7)

    assert engine.generate(REQUESTS, sampling) == one
    others = [
        texts(engine.generate([Request("x", QUESTIONS[0], seed=seed)], sampling))[0]
        for seed in range(8)
    ]
    assert len(set(others)) > 1


def test_prompt_without_room_fails_alone(tmp_path: Path, engine: TransformersEngine) -> None:
    """The others have all their own room, though they share a batch with it."""
    small = changed(tmp_path / "small", "config.json", max_position_embeddings=40)
    long = Request("long", " ".join(QUESTIONS))
    assert engine.generate([long], GREEDY)[0].prompt_tokens >= 40

    found = small.generate([REQUESTS[0], long, REQUESTS[2]], GREEDY)

    assert texts(found[::2]) == texts(engine.generate(REQUESTS[::2], GREEDY))
    assert (found[1].finish_reason, found[1].text) == ("error", "")
    assert "fills the context" in str(found[1].error)
    [alone] = small.generate([long], GREEDY)
    assert alone == found[1]


def test_long_prompt_takes_no_room_from_the_others(
    tmp_path: Path, engine: TransformersEngine
) -> None:
    long = Request("long", f"{QUESTIONS[0]} {QUESTIONS[1]}")
    size = engine.generate([long], GREEDY)[0].prompt_tokens
    small = changed(tmp_path / "small", "config.json", max_position_embeddings=size + 1)

    short, cut = small.generate([REQUESTS[0], long], GREEDY)

    [alone] = engine.generate([REQUESTS[0]], GREEDY)
    assert short == alone
    assert alone.completion_tokens > 1
    assert (cut.completion_tokens, cut.finish_reason) == (1, "length")


def test_defaults_of_the_model_do_not_mix_in(tmp_path: Path, engine: TransformersEngine) -> None:
    """Qwen2.5 ships a repetition penalty, which no sampling spec would show."""
    other = changed(
        tmp_path / "other",
        "generation_config.json",
        repetition_penalty=5.0,
        temperature=0.1,
        do_sample=True,
        top_k=1,
        max_new_tokens=2,
    )
    drawn = Sampling(max_tokens=12, temperature=1.5)
    thinking = [Request(each.id, each.user, "<think>") for each in REQUESTS]

    assert other.generate(thinking, GREEDY) == engine.generate(thinking, GREEDY)
    assert other.generate(thinking, drawn) == engine.generate(thinking, drawn)


@pytest.mark.parametrize(
    "names", ["generation_config.json", "config.json", "tokenizer", "template"]
)
def test_end_tokens_are_those_that_any_file_names(tmp_path: Path, names: str) -> None:
    """A chat model often has more than its tokenizer, and a base model's files name no turn's."""
    folder, end = tmp_path / "model", "<pad>"
    shutil.copytree(BASE, folder)
    for name in ("generation_config.json", "config.json"):
        values = json.loads((folder / name).read_text())
        values["eos_token_id"] = [0] if name == names else None
        (folder / name).write_text(json.dumps(values))
    known = json.loads((folder / "tokenizer_config.json").read_text())
    known["eos_token"] = end if names == "tokenizer" else None
    (folder / "tokenizer_config.json").write_text(json.dumps(known))
    template = (folder / "chat_template.jinja").read_text()
    written = end if names == "template" else ""

    chat = Chat.load(folder, template.replace("<|end|>", written))

    assert chat.ends == {0}


def test_end_tokens_are_the_union(tmp_path: Path) -> None:
    shutil.copytree(BASE, tmp_path / "model")
    for name, ends in (("generation_config.json", [5, 6]), ("config.json", 7)):
        path = tmp_path / "model" / name
        path.write_text(json.dumps({**json.loads(path.read_text()), "eos_token_id": ends}))

    assert Chat.load(tmp_path / "model").ends == {3, 5, 6, 7}


def test_model_without_an_end_token_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    shutil.copytree(BASE, folder)
    for name in ("generation_config.json", "config.json"):
        (folder / name).write_text("{}")
    known = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**known, "eos_token": None}))
    template = (folder / "chat_template.jinja").read_text().replace("<|end|>", "")

    with pytest.raises(ValueError, match="name an end token"):
        Chat.load(folder, template)
