"""The paper's study can be planned as a user would plan it, with nothing downloaded."""

import re
from pathlib import Path

import pytest

from nt_pkg.config.load import read_study
from nt_pkg.config.sources import Source
from nt_pkg.plan.study_plan import Plan
from nt_pkg.plan.validate import load_study
from tests.workflow.paper_small import SERVED, SMALL
from tests.workflow.sandbox import PAPER, ROOT, command, run


@pytest.mark.timeout(120)
def test_the_papers_study_is_planned_on_a_cluster_profile(tmp_path: Path) -> None:
    plan = Plan(load_study(read_study([PAPER])))

    options = ["--profile", str(ROOT / "profiles/slurm"), "--directory", str(tmp_path)]
    said = run(ROOT, command("scripts.plan", *options, "--configfile", str(PAPER)))

    for rule, wildcards in (
        ("select_subset", plan.subsets()),
        ("train", plan.sft()),
        ("sample_answers", plan.answers()),
        ("generate_traces", plan.traces()),
    ):
        assert re.search(rf"^\w+ +{rule} +{len(wildcards)} ", said, re.M), (rule, said)
    # What it costs, before anything ran and with no type of GPU in the profile.
    table = dict(re.findall(r"^(\w+) +\d+ +[\d-]+ +([\d,]+) +[\d,]+$", said, re.M))
    assert set(table) == {"traces", "annotations", "sft", "evals", "all"}, said
    hours = {stage: int(number.replace(",", "")) for stage, number in table.items()}
    assert hours["all"] == pytest.approx(sum(hours.values()) / 2, abs=2)
    assert "as if all GPUs were H100" in said
    unknown = [line for line in said.splitlines() if "not known" in line]
    assert all("deepseek-r1" in line for line in unknown), unknown
    assert re.search(r"^traces +12 +16 ", said, re.M)
    assert "cannot run yet" not in said


def test_what_the_claims_and_published_numbers_are_about_is_planned() -> None:
    """Otherwise a claim could never be judged, and a number would stand without one of ours."""
    plan = Plan(load_study(read_study([PAPER])))
    planned = plan.evals()
    report = plan.study.report
    filters = [
        (each.name, side)
        for each in report.comparisons
        for side in (each.a, each.b, *each.groups)
        if side
    ]
    for row in report.published:
        names = row.accuracy.keys() | row.tokens.keys()
        filters.append((row.row, {**row.filter, "benchmark": sorted(names)}))

    for name, wanted in filters:
        benchmark = wanted.get("benchmark", ["gpqa_diamond", "math500", "mmlu_pro", "supergpqa"])
        for each in [benchmark] if isinstance(benchmark, str) else benchmark:
            run = {**wanted, "benchmark": each}
            assert any(run.items() <= one.items() for one in planned), (name, run)


def test_a_model_labels_only_what_a_run_needs() -> None:
    """456,000 traces of OpenThoughts3 for the report alone would take hundreds of GPU-hours."""
    plan = Plan(load_study(read_study([PAPER])))
    asked = {
        w["teacher"]: plan.annotators(**w) for w in plan.trace_sets() if w["pool"] != "s1k-1.1"
    }

    assert asked["recorded"] == ["length"]
    own = ["agreement", "domain", "embedding", "length", "reference_words", "strategies"]
    assert asked["deepseek-r1"] == [*own, "verbosity"]


def test_the_small_study_differs_only_in_what_is_plugged_in() -> None:
    """`make paper-small` runs it; here it is as large as the paper's, and needs no network."""
    paper, small = (Plan(load_study(read_study([path]))) for path in (PAPER, SMALL))

    for jobs in (Plan.pools, Plan.trace_sets, Plan.subsets, Plan.sft, Plan.evals):
        assert jobs(small) == jobs(paper)
    assert (small.study.runs, small.study.formats) == (paper.study.runs, paper.study.formats)
    for part in ("comparisons", "claims", "published", "annotators"):
        assert getattr(small.study.report, part) == getattr(paper.study.report, part)
    for subset in {each["subset"] for each in paper.subsets()}:
        one, other = small.study.subsets[subset], paper.study.subsets[subset]
        assert one.size < other.size
        assert one == other.model_copy(update={"size": one.size, "params": one.params})
    for pool in {each["pool"] for each in paper.pools()}:
        assert small.study.pools[pool].decontaminate == paper.study.pools[pool].decontaminate
    assert [each for each in small.assets() if (small.source(**each) or Source(path="")).hub] == []
    # A job of its own for all but the teacher and the four annotators that ask a server.
    fewer = [each for each in paper.assets() if each not in small.assets()]
    assert sorted(each["name"] for each in fewer) == sorted([*SERVED, "deepseek-r1"])
