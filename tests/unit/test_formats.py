"""Control strings and targets, letter by letter."""

import pytest

from nt_pkg.dialogue import formats


@pytest.mark.parametrize(
    ("mode", "user", "prefix"),
    [
        ("think", "Why? Think carefully before answering. Use about 3500 words", "<think>"),
        ("no_think", "Why? Answer directly without thinking", ""),
        ("adaptive", "Why? Think carefully before answering.", ""),
    ],
)
def test_literal_strings_of_the_paper(mode: str, user: str, prefix: str) -> None:
    assert formats.prompt_in_mode("Why?", mode, 3500) == formats.Prompt(user, prefix)


def test_targets_of_the_paper() -> None:
    """Each target comes with the instruction that asks for it at inference."""
    think = formats.training_pair("Why?", "a. b.", "c", "system2", 40)
    direct = formats.training_pair("Why?", "a. b.", "c", "system1", 40)

    assert think == (
        formats.prompt_in_mode("Why?", "think", 40).user,
        "<think> a. b. </think> c",
    )
    assert direct == (formats.prompt_in_mode("Why?", "no_think", 40).user, "c")


@pytest.mark.parametrize(("num", "said"), [(1, 1), (43, 43), (3487, 3500), (10_512, 11_000)])
def test_words_of_each_trace_are_said_to_two_digits(num: int, said: int) -> None:
    user, _ = formats.training_pair("Why?", " ".join(["so"] * num), "c", "system2", "per_trace")
    direct, _ = formats.training_pair("Why?", "so", "c", "system1", "per_trace")

    assert user == f"Why? Think carefully before answering. Use about {said} words"
    assert direct == "Why? Answer directly without thinking"


def test_braces_of_a_question_stay() -> None:
    assert formats.prompt_in_mode("{x} {words}", "think", 5).user.startswith("{x} {words} Think")


@pytest.mark.parametrize("p", [0.2, 0.5, 0.6])
def test_random_mix_has_its_share(p: float) -> None:
    """Four standard deviations of a binomial."""
    num = 20_000
    found = [formats.target_kind("random_mix", p, 0, str(n), None) for n in range(num)]

    assert set(found) == {"system1", "system2"}
    assert abs(found.count("system2") - p * num) < 4 * (num * p * (1 - p)) ** 0.5


def test_random_mix_draws_each_row_by_itself_from_the_seed() -> None:
    draws = {
        seed: [formats.target_kind("random_mix", 0.5, seed, str(n), None) for n in range(200)]
        for seed in (0, 1)
    }

    assert draws[0] != draws[1]
    assert formats.target_kind("random_mix", 0.5, 0, "7", True) == draws[0][7]


def test_larger_share_keeps_what_thinks_already() -> None:
    few, many = (
        {
            n
            for n in range(500)
            if formats.target_kind("random_mix", p, 0, str(n), None) == "system2"
        }
        for p in (0.2, 0.6)
    )

    assert few < many


@pytest.mark.parametrize(("disagree", "target"), [(True, "system2"), (False, "system1")])
def test_difficulty_mix_thinks_where_models_disagree(disagree: bool, target: str) -> None:
    assert formats.target_kind("difficulty_mix", None, 0, "x", disagree) == target


def test_difficulty_mix_needs_a_label() -> None:
    with pytest.raises(ValueError, match="row x has no agreement label"):
        formats.target_kind("difficulty_mix", None, 0, "x", None)


@pytest.mark.parametrize("kind", ["system1", "system2"])
def test_pure_formats(kind: str) -> None:
    assert {formats.target_kind(kind, None, 0, str(n), n % 2 == 0) for n in range(9)} == {kind}
