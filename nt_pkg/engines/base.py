"""Requests, completions, and the one runner that makes every engine resumable."""

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from nt_pkg.config import Sampling
from nt_pkg.manifest import digest
from nt_pkg.progress import Progress
from nt_pkg.work import Journal

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """One text to generate.

    Attributes:
        id: row id, and the repeat where there are several.
        user: the user's turn.
        forced_prefix: text the answer has to begin with; it is part of the completion's text.
        seed: seed of this request's own randomness.
        replay: text that already exists, for the replay engine.
    """

    id: str
    user: str
    forced_prefix: str = ""
    seed: int = 0
    replay: str | None = None


@dataclass(frozen=True)
class Completion:
    """What came back. `finish_reason` is stop, length or error; `error` says why it failed."""

    id: str
    text: str
    prompt_tokens: int
    completion_tokens: int
    finish_reason: str
    error: str | None = None


class Engine(Protocol):
    """A way to generate text.

    `identity` holds everything about it that can change the text. A batch is the unit that is done
    whole or not at all, so the text of a request never depends on where an earlier start was
    killed.
    """

    identity: dict[str, Any]
    batch_size: int

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        """Return one completion per request, in order."""
        ...


def run_requests(
    engine: Engine, requests: Sequence[Request], sampling: Sampling, folder: Path, what: str
) -> list[Completion]:
    """Return the completions of `requests` in order, continuing what `folder` already holds.

    Finished completions are appended to a journal under the digest of the exact request, sampling
    and engine identity, so a changed prompt or setting can never reuse an old completion.

    Raises:
        ValueError: two requests share an id.
    """
    if len({request.id for request in requests}) != len(requests):
        raise ValueError(f"{what}: two requests have the same id")
    frame = {"engine": engine.identity, "sampling": sampling.model_dump()}
    keys = {r.id: digest({**frame, "request": dataclasses.asdict(r)}) for r in requests}
    journal = Journal(folder / "completions.jsonl")
    done = sum(keys[r.id] in journal.entries for r in requests)
    progress = Progress(what, len(requests), done)
    for batch in _batches(requests, engine.batch_size):
        missing = sum(keys[r.id] not in journal.entries for r in batch)
        if not missing:
            continue
        completions = engine.generate(batch, sampling)
        assert [c.id for c in completions] == [r.id for r in batch], "engine changed the order"
        journal.extend({keys[c.id]: dataclasses.asdict(c) for c in completions})
        progress.add(
            missing, f", {sum(c.completion_tokens for c in completions)} tokens in the batch"
        )
    journal.close()
    return [Completion(**journal.entries[keys[r.id]]) for r in requests]


def _batches(requests: Sequence[Request], size: int) -> Iterator[Sequence[Request]]:
    for start in range(0, len(requests), size):
        yield requests[start : start + size]
