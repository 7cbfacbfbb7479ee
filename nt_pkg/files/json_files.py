"""Small JSON files that describe artifacts; every write is atomic."""

import hashlib
import json
from pathlib import Path
from typing import Any

from nt_pkg.files.atomic import atomic_path as atomic_path
from nt_pkg.files.atomic import sha256_file as sha256_file

# Only the user knows whether a file that is not as we write it is needed elsewhere.
NOT_OURS = (
    "Move it elsewhere and run the same command again: this project then makes a file of its own"
)


def canonical(value: Any) -> str:
    """Return the canonical JSON text of `value`: sorted keys, no blanks.

    Configuration is passed to jobs and compared between runs in this form.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def digest(value: Any) -> str:
    """Return 16 hex digits that identify `value` by its canonical text."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:16]


def storable(value: Any) -> Any:
    r"""Return a value of JSON, or with tuples, whose texts can be stored.

    JSON's "\ud83d" gives half of a surrogate pair, which has no UTF-8 form: models that are cut in
    the middle of an emoji write it. A half becomes U+FFFD, two halves in a row their character.
    """
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return value
    if isinstance(value, list | tuple):
        return type(value)(storable(each) for each in value)
    if isinstance(value, dict):
        return {storable(key): storable(each) for key, each in value.items()}
    return value


def readable(value: Any) -> str:
    """Return `value` as JSON for people, with sorted keys."""
    return json.dumps(value, sort_keys=True, indent=1, allow_nan=False) + "\n"


def write_json(path: Path, value: Any) -> None:
    """Write `value` as readable JSON with sorted keys, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(readable(value))


def read_json(path: Path) -> Any:
    """Return the JSON value of a file; the error for an invalid file names it."""
    try:
        return json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path} is not valid JSON ({error}): something cut it off or it was not written by "
            f"this project. {NOT_OURS}"
        ) from error


def read_fields(path: Path, *names: str) -> dict[str, Any]:
    """Return the JSON object of a file that this project wrote, with at least these fields.

    Raises:
        ValueError: it is something else; the message says what it lacks.
    """
    found = read_json(path)
    if not isinstance(found, dict):
        what = f"it holds a {type(found).__name__} and not an object"
    elif lacking := [name for name in names if name not in found]:
        what = f"it lacks {', '.join(lacking)}"
    else:
        return found
    raise ValueError(f"{path} was not written by this version of this project: {what}. {NOT_OURS}")
