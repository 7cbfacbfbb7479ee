"""What a student's positions allow: how long an example may be, and which RoPE cannot be packed.

With some kinds of RoPE the frequencies of every token of a row depend on the longest document in
it. Packed documents would then be read as their neighbours' length has it, and the same example
would differ from step to step.
"""

from collections.abc import Iterator, Mapping
from typing import Any

# By the length of the longest document: NTK-aware scaling, and two sets of factors, of which Phi-3
# called the second "su". Names in config.json.
_BY_LONGEST = ("dynamic", "longrope", "su")
_STRETCHING = ("linear", "yarn")  # the context is `factor` times the original one


def check_positions(config: Mapping[str, Any], num_tokens: int) -> None:
    """Check that a model can be trained on packed examples of up to so many tokens.

    Args:
        config: its config.json, or what is known of it; absent numbers are not checked.
        num_tokens: tokens of the longest example.

    Raises:
        ValueError: it cannot; the message says what to do.
    """
    config = {**config, **(config.get("text_config") or {})}
    for kind in map(_kind, _ropes(config)):
        if any(name in kind for name in _BY_LONGEST):
            raise ValueError(
                f"its RoPE is of kind {kind!r}, whose frequencies depend on the longest example of "
                "a packed row, so that examples would change each other: use a student with "
                "another kind (default, llama3, linear or yarn)"
            )
    context = _context(config)
    if context is not None and num_tokens > context:
        raise ValueError(
            f"examples may have {num_tokens:,} tokens, and the context of the model has "
            f"{context:,}: lower training.max_example_tokens to {context} or less, or use a "
            "student with a longer context"
        )


def _context(config: Mapping[str, Any]) -> int | None:
    """Return the longest context that a config.json claims, in tokens; None if it says nothing."""
    own = config.get("max_position_embeddings") or config.get("n_positions")
    if not isinstance(own, int):
        return None
    stretched = [
        int((rope.get("factor") or 1) * (rope.get("original_max_position_embeddings") or own))
        for rope in _ropes(config)
        if _kind(rope) in _STRETCHING
    ]
    return max(own, *stretched, 0)


def _ropes(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the settings of RoPE, which may differ from one kind of layer to another."""
    for name in ("rope_parameters", "rope_scaling"):
        found = config.get(name) or {}
        yield found
        yield from (each for each in found.values() if isinstance(each, Mapping))


def _kind(rope: Mapping[str, Any]) -> str:
    return str(rope.get("rope_type") or rope.get("type") or "default")
