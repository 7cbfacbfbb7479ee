"""The test cluster, up for this tier and down after it, and the table of what faults cost."""

from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from tests.slurm import cluster
from tests.slurm.site import FAULTS, RUN, Clone
from tests.workflow.sandbox import table

_ROWS: list[tuple[str, str, str, str, str]] = []
Note = Callable[[str, str, str, str, float], None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip with a reason where no cluster can be had; give jobs in a queue more time."""
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(1500))
    if reason := cluster.why_not():
        for item in items:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """Let one run at a time have the cluster; waiting counts for no test's time."""
    ours = any(Path(__file__).parent in item.path.parents for item in session.items)
    if not ours or session.config.option.collectonly or cluster.why_not():
        return (yield)
    with cluster.alone():
        return (yield)


@pytest.fixture(scope="session", autouse=True)
def slurm() -> Iterator[None]:
    """Bring the cluster up, unless it is, and take down what was brought up."""
    if cluster.why_not():
        yield
        return
    was_up = cluster.pid("slurmctld") is not None
    cluster.up()
    yield
    if not was_up:
        cluster.down()


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """Return a clone in which everything before the training was made."""
    clone = Clone.make(tmp_path_factory.mktemp("prepared"))
    examples = RUN.replace("results/sft/", "results/sft_data/").replace("/run.json", ".arrow")
    clone.local(examples, "--configfile", FAULTS)
    return clone


@pytest.fixture(scope="session")
def undisturbed(prepared: Clone, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the digests of the results of a training that nothing happened to, without Slurm."""
    clone = Clone.copy(prepared, tmp_path_factory.mktemp("undisturbed"))
    clone.local(RUN, "--configfile", FAULTS)
    return clone.digests()


@pytest.fixture
def clone(prepared: Clone, tmp_path: Path) -> Clone:
    """Return a copy of the prepared clone for one fault."""
    return Clone.copy(prepared, tmp_path)


@pytest.fixture
def note() -> Note:
    """Return what adds a row to the table: fault, what happened, what was lost, seconds."""

    def add(fault: str, seen: str, lost: str, after: str, seconds: float) -> None:
        _ROWS.append((fault, seen, lost, after, f"{seconds:.0f}"))

    return add


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table of faults."""
    if _ROWS:
        terminalreporter.section("faults")
        head = ("fault", "what happened", "lost", "the next start", "seconds to recover")
        terminalreporter.write(table(head, _ROWS))
