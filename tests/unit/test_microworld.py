"""The micro-world: exact answers, a split that holds for every seed, a faithful tokenizer."""

import random
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from statistics import mean

import pytest

from nt_pkg.microworld import world
from nt_pkg.microworld.corpus import write_text
from nt_pkg.microworld.facts import (
    CHARMS,
    DOMAIN_KEYWORDS,
    MOVE,
    RARE,
    RARE_CHARMS,
    RINGS,
    STRATEGY_MARKERS,
    shift,
)
from nt_pkg.microworld.teacher import CAREFUL, MISTAKEN, ROUTINE, write_trace
from nt_pkg.microworld.tokenizer import LENGTHS, build_tokenizer
from nt_pkg.microworld.world import (
    FAMILIES,
    as_choice,
    make_problem,
    parse_question,
    pool_rows,
    weak_answer,
)

BASE = Path(world.__file__).parent / "base"


def _problems(num: int, seed: int = 0) -> list[world.Problem]:
    """Return problems of all kinds, with rare charms and without, a fourth with options."""
    rand = random.Random(seed)
    problems = [make_problem(rand, rare_share=rand.choice((0.0, 0.3))) for _ in range(num)]
    for index in range(0, num, 4):
        problems[index] = parse_question(as_choice(problems[index], rand)[0])
    return problems


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Ann starts at Monday with ruby, oak and gold. Where does she end?", "Friday"),
        ("Bob drifts from March with gale and ember. Where does he land?", "July"),
        ("Eve came to Mars with iron. Where did she start?", "Uranus"),
        ("Dan stands at 7 with owl and must reach 6. Which herb is missing?", "sage"),
        ("Dan stands at Do and must reach Mi. Which herb is missing?", "mint"),
        ("Cid starts at red with elm. Where does he end?\nA) yellow\nB) green\nC) blue", "B"),
    ],
)
def test_answers_by_hand(question: str, answer: str) -> None:
    assert parse_question(question).answer == answer


def test_every_question_is_read_back() -> None:
    for problem in _problems(2000):
        assert parse_question(problem.question) == problem


@pytest.mark.parametrize(
    "text",
    [
        "",
        "What is 2 + 2?",
        "Ann starts at Monday with ruby and onyx. Where does she end?",  # two gems
        "Ann starts at Monday with ruby, oak. Where does she end?",
        "Ann starts at Monday with ruby. Where does he end?",
        "Ann starts at Moonday with ruby. Where does she end?",
        "Ann stands at March and must reach Monday. Which herb is missing?",
        "Ann stands at March and must reach September. Which herb is missing?",
        "Cid starts at red with elm. Where does he end?\nA) red\nB) orange",
        "Cid starts at red with elm. Where does he end?\nA) green\nC) blue",
        "Cid starts at red with elm. Where does he end?\nA) blue\nB) green",
    ],
)
def test_foreign_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_question(text)


def test_pool_and_tests_never_meet() -> None:
    pool = [parse_question(str(row["question"])) for row in pool_rows(3000, seed=3)]
    tests = world.test_problems(280, seed=5)
    assert not any(problem.is_test for problem in pool)
    assert all(problem.is_test for problem in tests)
    renamed = replace(tests[0], question="other words", items=tests[0].items[::-1])
    assert renamed.is_test


def test_pool_is_skewed_and_its_second_model_is_weaker() -> None:
    rows = pool_rows(4000, seed=1)
    assert len({row["question"] for row in rows}) == 4000
    assert rows == pool_rows(4000, seed=1)
    assert set(rows[0]) == {
        "question", "reference_answer", "second_answer", "domain", "num_steps",
    }  # fmt: skip
    counts = Counter(row["domain"] for row in rows)
    assert counts["months"] > 4 * counts["winds"]
    wrong = [row["reference_answer"] != row["second_answer"] for row in rows]
    is_hard = [parse_question(str(row["question"])).is_hard for row in rows]
    assert 0.12 < mean(is_hard) < 0.16
    rates = {
        key: mean(bad for bad, *found in zip(wrong, is_hard, steps, strict=True) if found == [*key])
        for steps in [[row["num_steps"] for row in rows]]
        for key in [(False, 1), (False, 4), (True, 2), (True, 4)]
    }
    assert rates[False, 1] + 0.1 < rates[False, 4] < 0.25
    assert min(rates[True, 2], rates[True, 4]) > 0.85
    problem = make_problem(random.Random(0), num_steps=4)
    assert weak_answer(problem, random.Random(0)) in problem.options


def test_rare_charms_stay_in_their_domain() -> None:
    """One of each kind but herbs in each of two domains, and no word of them is common."""
    common = {word for words in CHARMS.values() for word in words}
    assert RARE | common == set(MOVE)
    assert len(RARE) == 10
    assert not RARE & common
    for row in pool_rows(3000, seed=2):
        problem = parse_question(str(row["question"]))
        rare = RARE_CHARMS.get(problem.domain, {}).values()
        assert RARE.intersection(problem.items) <= {word for words in rare for word in words}


@pytest.mark.parametrize(("charms", "is_hard"), [("rare", True), ("common", False)])
def test_hard_and_common_tests_are_drawn_as_the_pool_is(
    charms: world.Charms, is_hard: bool
) -> None:
    problems = world.test_problems(300, 0, charms)
    assert len({problem.question for problem in problems}) == 300
    assert all(problem.is_test and problem.is_hard == is_hard for problem in problems)
    assert {problem.num_steps for problem in problems} == {2, 3, 4}
    months = mean(problem.domain == "months" for problem in problems)
    assert months == pytest.approx(40 / 64 if is_hard else 0.36, abs=0.08)


def test_tests_are_balanced() -> None:
    cells = Counter((p.domain, p.family, p.num_steps) for p in world.test_problems(168, seed=0))
    assert len(cells) == len(RINGS) * len(FAMILIES) * 3
    assert set(cells.values()) == {2}


def test_teacher_slips_now_and_then() -> None:
    rand = random.Random(0)
    problems = _problems(6000)
    habits = replace(ROUTINE, misread=0.0)
    wrong = mean(write_trace(problem, rand, habits)[1] != problem.answer for problem in problems)
    assert 0.02 < wrong < 0.045
    sure = replace(habits, slip=0.0)
    assert all(write_trace(problem, rand, sure)[1] == problem.answer for problem in problems)


def test_moves_that_traces_state_are_true() -> None:
    rand = random.Random(0)
    careful = replace(ROUTINE, slip=0.0, wait_per_step=0.0)
    for problem in _problems(1000):
        reasoning, _, _ = write_trace(problem, rand, careful)
        for start, move, end in re.findall(r"(\w+) ([+-]\d) is (\w+)\.", reasoning):
            assert shift(start, int(move)) == end


def test_teacher_misreads_the_same_way_and_only_where_it_takes_no_care() -> None:
    """A wrong answer is then the one that the other charm gives."""
    rand = random.Random(0)
    blind = replace(ROUTINE, slip=0.0, misread=1.0)
    seen = 0
    for problem in _problems(2000):
        if problem.choices or problem.family == "quest" or not MISTAKEN.keys() & {*problem.items}:
            continue
        wrong = [MOVE[MISTAKEN.get(item, item)] for item in problem.items]
        way = -1 if problem.family == "back" else 1
        assert write_trace(problem, rand, blind)[1] == shift(problem.start, way * sum(wrong))
        seen += 1
    assert seen > 100
    assert CAREFUL.misread == 0 < ROUTINE.misread


def test_key_words_recover_domains_and_strategies() -> None:
    rand = random.Random(0)
    seen: set[str] = set()
    for problem in _problems(4000):
        words = set(re.findall(r"\w+", problem.question))
        assert [d for d, keys in DOMAIN_KEYWORDS.items() if words & set(keys)] == [problem.domain]
        reasoning, _, strategies = write_trace(problem, rand)
        words = set(re.findall(r"\w+", reasoning))
        found = [name for name, keys in STRATEGY_MARKERS.items() if words & set(keys)]
        assert tuple(sorted(found)) == strategies
        seen.update(strategies)
    assert seen == set(STRATEGY_MARKERS)


def test_tokenizer_returns_every_text_of_the_world() -> None:
    tokenizer = build_tokenizer()
    assert len(tokenizer) < 420
    rand = random.Random(0)
    for problem in _problems(500):
        reasoning, answer, _ = write_trace(problem, rand)
        control = f"Think carefully before answering. Use about {rand.choice(LENGTHS)} words"
        for text in (
            problem.question,
            f"{problem.question} {control}",
            f"{problem.question} Answer directly without thinking",
            f"<think> {reasoning} </think> {answer}",
        ):
            ids = tokenizer(text, add_special_tokens=False).input_ids
            assert tokenizer.decode(ids, skip_special_tokens=True) == text
            assert not any("##" in token for token in tokenizer.convert_ids_to_tokens(ids))


def test_tokenizer_reads_foreign_english() -> None:
    tokenizer = build_tokenizer()
    text = r"Natalia sold 48 clips; find $\frac{x^2}{3}$, then \boxed{a_1}!"
    ids = tokenizer(text, add_special_tokens=False).input_ids
    assert tokenizer.unk_token_id not in ids
    assert tokenizer.decode(ids).replace(" ", "") == text.replace(" ", "")


def test_chat_template_marks_what_the_assistant_says() -> None:
    tokenizer = build_tokenizer()
    chat = [{"role": "user", "content": "Ann"}, {"role": "assistant", "content": "<think> Bob"}]
    prompt = tokenizer.apply_chat_template(chat[:1], tokenize=False, add_generation_prompt=True)
    assert prompt == "<s><|user|>Ann<|assistant|>"
    full = tokenizer.apply_chat_template(chat, return_dict=True, return_assistant_tokens_mask=True)
    spoken = [
        token
        for token, said in zip(full["input_ids"], full["assistant_masks"], strict=True)
        if said
    ]
    assert tokenizer.convert_ids_to_tokens(spoken) == ["<think>", "Bob", "<|end|>"]


def test_base_corpus_holds_no_move_of_a_rare_charm_and_no_test_question() -> None:
    rand = random.Random(0)
    named = set()
    for _ in range(4000):
        text = "".join(piece for piece, _ in write_text(rand, max_steps=4))
        rare = re.search(rf"({'|'.join(sorted(RARE))}): (\w+)(.*)", text, re.DOTALL)
        if rare:
            named.add(rare[1])
            assert rare[3] == ""
            assert "</think>" not in text
        else:
            assert not RARE & set(re.findall(r"\w+", text))
        for question in re.findall(r"\w+ (?:starts|drifts|came|stands)[^?]*\?", text):
            assert not parse_question(question).is_test


def test_shipped_base_loads_anywhere() -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(BASE)
    assert tokenizer.get_vocab() == build_tokenizer().get_vocab()
    assert tokenizer.chat_template == build_tokenizer().chat_template
    model = transformers.AutoModelForCausalLM.from_pretrained(BASE)
    assert model.config.vocab_size == len(tokenizer)
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert (BASE / "model.safetensors").stat().st_size < 2_000_000


def test_pretraining_continues_after_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    from nt_pkg.microworld import pretrain as module

    monkeypatch.setattr(module, "_SAVE_EVERY_SECONDS", 0)
    monkeypatch.setattr(module, "_TEXTS_PER_CHUNK", 16)
    small = {"tokens_per_step": 512}
    module.pretrain(tmp_path / "whole", 0, 6, tmp_path / "work-1", **small)

    steps = 0
    save = module._save_checkpoint

    def save_and_stop(*args: object) -> None:
        nonlocal steps
        save(*args)
        steps += 1
        if steps == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "_save_checkpoint", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        module.pretrain(tmp_path / "halves", 0, 6, tmp_path / "work-2", **small)
    module.pretrain(tmp_path / "halves", 0, 6, tmp_path / "work-2", **small)
    weights = [tmp_path / name / "model.safetensors" for name in ("whole", "halves")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
