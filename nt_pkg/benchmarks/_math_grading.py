r"""Decide whether a mathematical answer equals the gold answer.

Math-Verify (0.9) decides, with its LaTeX parser only: its expression parser evaluates text as
Python, so it is never used. Everything that uses sympy runs in worker processes. The kernel ends a
worker when one comparison takes too much CPU time, wall time or memory.
"""

import json
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache
from pathlib import Path
from typing import TypeVar

from nt_pkg.benchmarks._latex import differ, normal_form

Verdict = TypeVar("Verdict")
log = logging.getLogger(__name__)

CPU_LIMIT_S = 5.0
WALL_LIMIT_S = 60.0  # for a stuck machine; the CPU limit decides, so verdicts ignore its load
MEMORY_LIMIT_BYTES = 2 << 30
MAX_WORKERS = 4
PROGRESS_SECONDS = 10.0
PAIRS_PER_WORKER = 250  # below this a second worker costs more to start than it saves

_HARMLESS = re.compile(r"(?:[\s\d.()*/+,-]|'[\w.+-]*'|Symbol|Integer|Float|Rational|E)*+")
_REMEDY = "correct the row or remove it from the data"


class GoldError(ValueError):
    """A gold answer that is empty, so nothing can be compared with it."""


def grade_pairs(
    pairs: Iterable[tuple[str, str]], cpu_limit_s: float = CPU_LIMIT_S
) -> dict[tuple[str, str], bool]:
    """Return whether each (gold, prediction) pair is equal; a pair over the limits is not.

    A gold answer that Math-Verify cannot parse is compared as text, in normal form.

    Raises:
        GoldError: a gold answer is empty.
    """
    verdicts, hard = _decided(pairs)
    for gold, _ in verdicts:
        if not gold.strip():
            raise GoldError(f"a gold answer is empty; {_REMEDY}")
    found = _ask_workers(sorted(set(hard.values())), _Worker.is_equal, "grading", cpu_limit_s)
    return verdicts | {pair: found[forms] for pair, forms in hard.items()}


def compare_pairs(
    pairs: Iterable[tuple[str, str]], cpu_limit_s: float = CPU_LIMIT_S
) -> dict[tuple[str, str], bool | None]:
    """Return whether the two texts of each pair are equal, None if they cannot be compared.

    Neither text has to parse: the result for text that is not mathematics, or for a pair over the
    limits, is None.
    """
    verdicts, hard = _decided(pairs)
    found = _ask_workers(
        sorted(set(hard.values())), _Worker.compare, "comparing answers", cpu_limit_s
    )
    return verdicts | {pair: found[forms] for pair, forms in hard.items()}


def _decided(
    pairs: Iterable[tuple[str, str]],
) -> tuple[dict[tuple[str, str], bool], dict[tuple[str, str], tuple[str, str]]]:
    """Return a verdict on every pair, False for now where Math-Verify decides; and those forms."""
    form = cache(normal_form)
    verdicts, hard = {}, {}
    for pair in set(pairs):
        forms = form(pair[0]), form(pair[1])
        verdicts[pair] = forms[0] == forms[1]
        if not verdicts[pair] and not differ(*forms):
            hard[pair] = forms
    return verdicts, hard


def _ask_workers(
    pairs: Sequence[tuple[str, str]],
    ask: "Callable[[_Worker, str, str], Verdict]",
    what: str,
    cpu_limit_s: float,
) -> dict[tuple[str, str], Verdict]:

    def work(share: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Verdict]:
        worker, found, last = _Worker(cpu_limit_s), {}, time.monotonic()
        try:
            for pair in share:
                found[pair] = ask(worker, *pair)
                if time.monotonic() - last > PROGRESS_SECONDS:
                    last = time.monotonic()
                    log.info("%s: %d of %d in one worker", what, len(found), len(share))
        finally:
            worker.stop()
        return found

    num_cores = len(os.sched_getaffinity(0))
    num_workers = min(MAX_WORKERS, num_cores, -(-len(pairs) // PAIRS_PER_WORKER))
    verdicts: dict[tuple[str, str], Verdict] = {}
    if num_workers:
        shares = [pairs[first::num_workers] for first in range(num_workers)]
        with ThreadPoolExecutor(num_workers) as pool:
            for found in pool.map(work, shares):
                verdicts.update(found)
    return verdicts


class _Worker:
    """One grading process, restarted whenever it dies."""

    def __init__(self, cpu_limit_s: float) -> None:
        self._cpu_limit_s = cpu_limit_s
        self._start()

    def _start(self) -> None:
        # A new interpreter and not a fork, because the caller may hold threads, locks or a GPU.
        call = f"from {__name__} import {_serve.__name__}; {_serve.__name__}({self._cpu_limit_s!r})"
        root = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        self._process = subprocess.Popen(
            [sys.executable, "-c", call],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C reaches only the caller, which stops its workers
        )
        if self._reply() != "ready":
            raise RuntimeError(
                f"a math grading process ended with status {self._process.wait()} before it was "
                "ready; see its message above, and check that math-verify[antlr4_13_2] is installed"
            )

    def is_equal(self, gold: str, prediction: str) -> bool:
        """Return the verdict; a pair that hits a limit, or kills two workers, is wrong.

        Other failures are tried again in a new worker, because the previous pair or a lack of
        memory may have caused them. A gold answer that does not parse equals nothing here: the
        caller has compared the texts.
        """
        for is_last in (False, True):
            gold_reply, reply = self._ask(gold, prediction)
            if gold_reply == "unparsable":
                log.warning("compared as text, as it does not parse: gold answer %.80r", gold)
                return False
            if reply is not None:
                return reply == "equal"
            status = self._process.wait()
            self.stop()
            self._start()
            if is_last or -status in _timeout_signals():
                log.warning("graded wrong, as signal %d ended it: %.80r", -status, prediction)
                return False
        raise AssertionError("unreachable")

    def compare(self, one: str, other: str) -> bool | None:
        """Return whether two texts are equal in either role, None if one of them does not parse.

        A pair that kills the worker also gives None, because either text may be the cause.
        """
        verdicts = []
        for gold, prediction in ((one, other), (other, one)):
            gold_reply, reply = self._ask(gold, prediction)
            if reply == "equal":
                return True
            if gold_reply != "unparsable" and reply is None:
                self.stop()
                self._start()
                return None
            verdicts.append(reply)
        return None if None in verdicts else False

    def _ask(self, gold: str, prediction: str) -> tuple[str | None, str | None]:
        """Return the replies about the gold answer and about the pair, None without a reply."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps([gold, prediction]) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return None, None
        gold_reply = self._reply()
        return gold_reply, self._reply() if gold_reply == "parsed" else None

    def _reply(self) -> str | None:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip() or None

    def stop(self) -> None:
        """End the process and close its pipes."""
        self._process.kill()
        self._process.communicate()


def _timeout_signals() -> tuple[int, int]:
    import signal

    return signal.SIGPROF, signal.SIGALRM


def _serve(cpu_limit_s: float) -> None:
    """Answer (gold, prediction) lines on stdin until it closes; runs in the worker process."""
    import resource
    import signal

    replies = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)  # output of a library must not be taken for a reply
    logging.disable(logging.ERROR)
    compare = _comparer()
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    for number in _timeout_signals():
        # With the default action the kernel ends the process even inside a long C call.
        signal.signal(number, signal.SIG_DFL)
    list(compare("1", "x"))  # the first comparison is slow, because it compiles patterns
    replies.write("ready\n")
    for line in sys.stdin:
        gold, prediction = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, cpu_limit_s)
        signal.setitimer(signal.ITIMER_REAL, WALL_LIMIT_S)
        for reply in compare(gold, prediction):
            replies.write(f"{reply}\n")
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        if sys.platform == "linux" and _peak_kib() > MEMORY_LIMIT_BYTES // 2048:
            return  # more than half was used: a new worker gives the next pair its full memory


def _peak_kib() -> int:
    """Return the peak memory of this process.

    `ru_maxrss` would start from the peak of the process that started this one: under a caller of
    1 GiB every worker would end after one pair.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def _comparer() -> Callable[[str, str], Iterable[str]]:
    """Return a generator function of the two replies for a pair."""
    import sympy.parsing.sympy_parser
    from math_verify import LatexExtractionConfig, parse, verify

    evaluate = sympy.parsing.sympy_parser.eval_expr

    def evaluate_harmless(code: str, *scopes: object) -> object:
        if not _HARMLESS.fullmatch(code):
            log.critical("not evaluated, so the answer is graded wrong: %.100r", code)
            raise ValueError("not evaluated")
        return evaluate(code, *scopes)

    # A second protection: sympy turns strings into objects with Python's eval, and needs it only
    # for numbers and symbols.
    sympy.parsing.sympy_parser.eval_expr = evaluate_harmless
    config = [LatexExtractionConfig()]

    @lru_cache(maxsize=4096)  # enough for a benchmark, and bounded for a shard of a million pairs
    def parsed(text: str) -> list[object]:
        # Without delimiters 51 of the 500 golds of MATH-500 do not parse.
        wrapped = text if re.search(r"(?<!\\)\$", text) else f"${text}$"
        found: list[object] = parse(wrapped, config, parsing_timeout=None)
        return found

    def compare(gold: str, prediction: str) -> Iterable[str]:
        gold_values = parsed(gold)
        # If nothing parses, Math-Verify returns the plain string, which equals nothing.
        is_parsed = any(not isinstance(value, str) for value in gold_values)
        yield "parsed" if is_parsed else "unparsable"
        if is_parsed:
            # The order matters: an interval matches a gold inequality, but not the reverse.
            is_equal = verify(gold_values, parsed(prediction), timeout_seconds=None)
            yield "equal" if is_equal else "different"

    return compare
