"""The interface of engines, and the runner that makes every engine resumable."""

import dataclasses
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from nt_pkg.config.base import Strict
from nt_pkg.config.engines import EngineRuntime, Sampling
from nt_pkg.files.foreign_text import printable, without_secrets
from nt_pkg.files.json_files import digest, read_fields, storable
from nt_pkg.files.manifest import checked_folder
from nt_pkg.jobs.journal import Journal
from nt_pkg.jobs.progress import Progress

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """One text to generate.

    Attributes:
        id: row id, with the repeat if there are several.
        user: the user's turn.
        forced_prefix: text that the answer must begin with; part of the completion's text, also
            where a model's chat template has written it.
        seed: seed of this request's own randomness.
        replay: text that already exists, for the replay engine.
        json_schema: JSON schema, as text, that the answer must fit; engines that cannot
            enforce it ignore it.
    """

    id: str
    user: str
    forced_prefix: str = ""
    seed: int = 0
    replay: str | None = None
    json_schema: str | None = None


@dataclass(frozen=True)
class Completion:
    """The answer. `finish_reason` is stop, length or error; `error` says why it failed."""

    id: str
    text: str
    prompt_tokens: int
    completion_tokens: int
    finish_reason: str
    error: str | None = None


@dataclass(frozen=True)
class Model:
    """The files of a model: their folder, and a digest of their content."""

    folder: Path
    digest: str

    @classmethod
    def beside(cls, manifest: Path) -> Self:
        """Return the model whose folder holds a manifest, or is next to it."""
        known = read_fields(manifest, "files")
        return cls(manifest.parent / known.get("folder", "."), digest(known["files"]))


def checked_model(manifest: Path) -> Model:
    """Return the model beside a manifest to run it: its files are those of the manifest.

    Raises:
        ValueError: a file differs, is missing or does not belong there.
    """
    checked_folder(manifest)
    return Model.beside(manifest)


class Running(Protocol):
    """An engine that has started.

    `batch_size` is the number of requests whose texts may depend on each other: such a batch is
    done completely or not at all, so the text of a request never depends on where an earlier start
    was killed. None: every text is independent and is saved as soon as it is finished.

    An engine that runs libraries may name them in a map `versions`. One that leaves something
    behind, such as a server, has a method `close`, which is also called when a signal ends the job.
    """

    @property
    def batch_size(self) -> int | None:
        """Return the number of requests that are done completely or not at all."""

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterable[Completion]:
        """Return one completion per request, in any order, each as soon as it is finished."""


class Engine(Running, Protocol):
    """A way to generate text, whether or not it has started."""

    @property
    def identity(self) -> dict[str, Any]:
        """Return everything about the engine that can change a text."""

    @property
    def versions(self) -> Mapping[str, str]:
        """Return the versions of its libraries; this starts it."""

    def close(self) -> None:
        """End what it has started; nothing, if it has not started."""


@dataclass(frozen=True)
class EngineKind:
    """The plugin object of an engine module.

    Attributes:
        params: model of the parameters, all of which can change a text.
        start: (parameters, what its job runs on, files of its model if it needs them) -> the
            engine, ready to generate. Slow imports belong here.
        version: raise it when the engine makes another text from the same request; None: the digest
            of its code replaces it, for engines whose texts are cheap to rebuild.
        needs_model: whether it runs a model, whose files are the `source` of its entry.
        needs_server: whether it uses the server of `runtime.server`.
        serves: whether it can start a server of its own, on the nodes of its job.
        keeps_texts: whether each text is independent and so expensive that it is kept when the job
            has ended.
        cpus: what it runs on -> the CPU cores that a job needs per node, unless its entry says how
            many. One thread feeds the GPU of `transformers`, and asks a server.
        is_model: whether a language model answers: it samples with a seed and takes any prompt.
    """

    params: type[Strict]
    start: Callable[[Any, EngineRuntime, Model | None], Running]
    version: int | None = None
    needs_model: bool = False
    needs_server: bool = False
    serves: bool = False
    keeps_texts: bool = False
    cpus: Callable[[EngineRuntime], int] = lambda _: 1
    is_model: bool = True


def request_key(identity: Mapping[str, Any], sampling: Sampling, request: Request) -> str:
    """Return the digest of an exact request: the engine's identity, the sampling, the request."""
    frame = {"engine": dict(identity), "sampling": sampling.model_dump()}
    return digest({**frame, "request": dataclasses.asdict(request)})


def run_requests(
    engine: Engine,
    requests: Sequence[Request],
    sampling: Sampling,
    folder: Path,
    what: str,
    withheld: str | None = None,
) -> list[Completion]:
    """Return the completions of `requests` in order, continuing from those in `folder`.

    Finished completions are appended to a journal under the digest of the exact request, sampling
    and engine identity, so a changed prompt or setting can never reuse an old completion. A kill
    loses the current batch, or the requests in flight if the engine has no batches. A request
    that failed alone is not in the journal: the next start retries it. If all are done,
    only the identity of the engine is needed. Texts that cannot be stored are repaired
    (`storable`), also those of a journal.

    Args:
        engine: the engine.
        requests: the requests.
        sampling: how answers are sampled.
        folder: folder for progress.
        what: name of the work, for messages.
        withheld: text to show instead of the reason of a failure, if that may quote the request
            and must not be shown.

    Raises:
        ValueError: two requests share an id.
    """
    if len({request.id for request in requests}) != len(requests):
        raise ValueError(f"{what}: two requests have the same id")
    keys = {r.id: request_key(engine.identity, sampling, r) for r in requests}
    with Journal(folder / "completions.jsonl") as journal:
        entries = {
            r.id: journal.entries[keys[r.id]] for r in requests if keys[r.id] in journal.entries
        }
        found = {name: _clean(entry) for name, entry in entries.items()}
        size = engine.batch_size if len(found) < len(requests) else None
        progress = Progress(what, len(requests), len(found))
        for made in _groups(engine, size, requests, sampling, found):
            whole = [_clean(vars(each)) for each in made]
            group = [_without_reason(each, withheld) for each in whole] if withheld else whole
            kept = group if size else [c for c in group if c.error is None]
            journal.extend({keys[c.id]: dataclasses.asdict(c) for c in kept})
            new = sum(c.id not in found for c in group)
            found.update((c.id, c) for c in group)
            progress.add(new, tokens=sum(c.completion_tokens for c in group))
    _say_failures(list(found.values()), what)
    return [found[r.id] for r in requests]


def _groups(
    engine: Engine,
    size: int | None,
    requests: Sequence[Request],
    sampling: Sampling,
    done: Collection[str],
) -> Iterator[list[Completion]]:
    """Yield the units to save: a whole batch, or a single completion."""
    for start in range(0, len(requests), size or max(1, len(requests))):
        batch = requests[start : start + size] if size else requests
        missing = [request for request in batch if request.id not in done]
        if not missing:
            continue
        asked = {request.id for request in (batch if size else missing)}
        completions = engine.generate(batch if size else missing, sampling)
        for group in [list(completions)] if size else ([each] for each in completions):
            assert {each.id for each in group} <= asked, "engine answered what was not asked"
            asked -= {each.id for each in group}
            yield group
        assert not asked, f"engine left out {sorted(asked)[:3]}"


def _clean(fields: Mapping[str, Any]) -> Completion:
    """Return a completion that can be stored: whole characters, and no secret that was echoed."""
    found = Completion(**storable(dict(fields)))
    error = None if found.error is None else printable(found.error)
    return dataclasses.replace(found, text=without_secrets(found.text), error=error)


def _without_reason(completion: Completion, withheld: str | None) -> Completion:
    return (
        completion if completion.error is None else dataclasses.replace(completion, error=withheld)
    )


def _say_failures(completions: Sequence[Completion], what: str) -> None:
    errors = Counter(each.error for each in completions if each.error is not None)
    if errors:
        (reason, count), *_ = errors.most_common(1)
        logger.warning(
            "%s: %d of %d failed; %d of them: %s",
            what, errors.total(), len(completions), count, reason,
        )  # fmt: skip
