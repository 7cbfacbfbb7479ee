"""A stand-in for the servers of the paper's study: it answers by procedure, the same every time.

As the teacher it solves questions of the micro-world, its reasoning in a field of its own as behind
vLLM's parser for DeepSeek-R1. As an annotator it says what can be counted in a trace. Now and then
it does what models do: it runs out of tokens, or says something that was not asked for.
"""

import json
import re
from collections.abc import Callable
from typing import Any

from nt_pkg.annotators.agreement import answers_agree
from nt_pkg.annotators.domain import DOMAINS
from nt_pkg.benchmarks._stated import extract_answer
from nt_pkg.identity.seeds import rng
from nt_pkg.microworld.facts import RINGS, STRATEGY_MARKERS
from nt_pkg.microworld.teacher import write_trace
from nt_pkg.microworld.world import parse_question

TEACHER = "deepseek-ai/DeepSeek-R1"
MODELS = [TEACHER, "meta-llama/Llama-3.1-70B-Instruct", "meta-llama/Llama-3.1-8B-Instruct"]
_UNASKED = 0.03  # of answers
_NAMES = {  # of one strategy, as models spell it
    "verify": ("self-verification", "Self Verification", "verification"),
    "backtrack": ("backtracking", "Back-tracking"),
    "decompose": ("decomposition", "step-by-step decomposition"),
}


def reply(body: dict[str, Any]) -> dict[str, Any]:
    """Return the body of the answer to one chat request."""
    prompt = body["messages"][-1]["content"]
    schema = body.get("response_format", {}).get("json_schema", {}).get("schema")
    if schema is None:
        message, finish = _answer(prompt, body)
    else:
        [asked] = schema["properties"]
        message, finish = {"content": _label(asked, prompt)}, "stop"
    said = " ".join(message.values())
    usage = {"prompt_tokens": len(prompt.split()), "completion_tokens": len(said.split())}
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return {"model": body["model"], "choices": [choice], "usage": usage}


def _answer(question: str, body: dict[str, Any]) -> tuple[dict[str, str], str]:
    rand = rng("stand-in", question, body.get("seed"))
    try:
        reasoning, answer, _ = write_trace(parse_question(question), rand)
    except ValueError:
        return {"reasoning_content": "This is no question of mine.", "content": "None."}, "stop"
    if rand.random() < _UNASKED:
        return {"reasoning_content": reasoning[: len(reasoning) // 2]}, "length"
    return {"reasoning_content": reasoning, "content": f"Answer: {answer}"}, "stop"


def _label(asked: str, prompt: str) -> str:
    if rng("stand-in", asked, prompt).random() < _UNASKED:
        return "I would rather not say."
    return json.dumps({asked: _LABELS[asked](prompt)})


def _domain(prompt: str) -> str:
    """Return a domain by the ring that the question is about."""
    words = re.findall(r"\w+", _part(prompt, "question"))
    ring = next(n for n, places in enumerate(RINGS.values()) if set(places) & set(words))
    return DOMAINS[(ring + len(RINGS) * (len(words) % 2)) % len(DOMAINS)]


def _strategies(prompt: str) -> list[str]:
    reasoning = _part(prompt, "reasoning")
    rand = rng("stand-in strategies", prompt)
    return [
        rand.choice(_NAMES.get(strategy, (strategy,)))
        for strategy, (marker,) in STRATEGY_MARKERS.items()
        if marker in reasoning
    ]


def _verbosity(prompt: str) -> int:
    """Return more for a longer trace, and for one that checks and turns back."""
    words = _part(prompt, "reasoning").split()
    return min(10, len(words) // 8 + words.count("Check:") + words.count("Wait,"))


def _agree(prompt: str) -> bool:
    one, other = (_part(prompt, f"answer_{side}") for side in "ab")
    return answers_agree(extract_answer(one) or one, extract_answer(other) or other)


def _part(prompt: str, name: str) -> str:
    found = re.search(rf"^<{name}>\n(.*?)\n</{name}>$", prompt, re.M | re.S)
    assert found is not None, f"no <{name}> in {prompt!r}"
    return found[1]


_LABELS: dict[str, Callable[[str], Any]] = {
    "domain": _domain,
    "strategies": _strategies,
    "verbosity": _verbosity,
    "agree": _agree,
}
