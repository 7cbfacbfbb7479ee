"""The micro-world's teacher: a procedure that reads a question and writes a true trace."""

from collections.abc import Sequence

from nt_pkg.config.base import NoParams
from nt_pkg.config.engines import EngineRuntime, Sampling
from nt_pkg.dialogue.formats import THINK_CLOSE, THINK_OPEN
from nt_pkg.engines._base import Completion, EngineKind, Model, Request
from nt_pkg.identity.seeds import rng
from nt_pkg.microworld.teacher import write_trace
from nt_pkg.microworld.world import parse_question


class MicroEngine:
    """Solves micro-world questions from their text only. Tokens are blank-separated words."""

    batch_size = 1000

    def __init__(self, params: NoParams, runtime: EngineRuntime, model: Model | None) -> None:
        """Need nothing."""

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        """Return a trace for each request; other questions give a failed completion."""
        return [self._one(request) for request in requests]

    def _one(self, request: Request) -> Completion:
        tokens = len(request.user.split())
        try:
            problem = parse_question(request.user)
        except ValueError as error:
            return Completion(request.id, "", tokens, 0, "error", str(error))
        reasoning, answer, _ = write_trace(problem, rng("micro-teacher", 0, request.id))
        text = f"{THINK_OPEN} {reasoning} {THINK_CLOSE} {answer}"
        return Completion(request.id, text, tokens, len(text.split()), "stop")


ENGINE = EngineKind(params=NoParams, start=MicroEngine, is_model=False)
