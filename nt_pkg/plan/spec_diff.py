"""How two specs differ, as text: one line per key, code as a whole."""

from collections.abc import Mapping
from typing import Any


def describe_differences(
    old: Mapping[str, Any], new: Mapping[str, Any], missing: str = "default"
) -> list[str]:
    """Return `key: old -> new` for every key that differs; digests of code only say `edited`.

    Args:
        old: one spec.
        new: the other one.
        missing: the text for a key that one of them lacks.
    """
    old_leaves, new_leaves = _leaves(old), _leaves(new)
    changes = []
    for key in sorted(set(old_leaves) | set(new_leaves)):
        values = [leaves.get(key) for leaves in (old_leaves, new_leaves)]
        if values[0] == values[1]:
            continue
        parts = key.split(".")
        digests = [part for part in parts if part in ("code", "style")]
        before, now = (missing if value is None else _shown(value) for value in values)
        if digests:
            changes.append(f"{'.'.join(parts[: parts.index(digests[0]) + 1])} edited")
        elif before == now:  # they differ after the end of the text shown
            changes.append(f"{key} edited")
        else:
            changes.append(f"{key}: {before} -> {now}")
    return list(dict.fromkeys(changes))


def _leaves(value: Any, key: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = dict(enumerate(value)).items()
    else:
        return {key: value}
    return {
        leaf: found
        for name, inner in items
        for leaf, found in _leaves(inner, f"{key}.{name}" if key else str(name)).items()
    }


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 30 else text[:27] + "..."
