"""The report: statistics against known values, and a page built from an invented study."""

import csv
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from scipy import stats

from nt_pkg.identity.seeds import rng
from nt_pkg.report.build import build_report
from nt_pkg.report.cells import build_cells, find_unsolved
from nt_pkg.report.effects import measure_effects
from nt_pkg.report.flow_chart import reduce_edges
from nt_pkg.report.published import tabulate_published
from nt_pkg.report.reading_tables import tabulate_levels, tabulate_readings
from nt_pkg.report.samples import choose_samples
from nt_pkg.report.score_charts import draw_scaling, draw_tokens
from nt_pkg.report.tables import Column, Table, render_html, render_markdown
from nt_pkg.report.trace_charts import draw_trace_lengths
from nt_pkg.report.wording import show_points, sort_naturally
from nt_pkg.statistics.ratios import find_p_value, pair_lengths
from nt_pkg.statistics.tests import compare_alike, correct_holm, run_paired_t
from tests.check_report import find_browser, open_in_browser

STUDENT = "micro-llama"
MODES = ("think", "adaptive", "no_think")
SIZES = {"random-128": 128, "random-512": 512, "random-2048": 2048}
SELECTORS = ("disagreement", "long", "strategies", "topics", "verbosity")
FORMATS = ("system1", "mix-random-40", "mix-difficulty")
DOMAINS = ("arithmetic", "calendar", "counting", "logic", "sorting", "units")
STRATEGIES = (
    *("decomposition", "self-verification", "working backwards", "enumeration", "estimation"),
    *("backtracking", "case analysis", "analogy", "exploration", "restating", "elimination"),
)


def score(
    subset: str, name: str, seed: int, mode: str, benchmark: str = "micro_steps", level: float = 0.5
) -> dict[str, Any]:
    """Return one invented score of the contract's shape."""
    draw = rng("score", subset, name, seed, mode, benchmark)
    accuracy = min(max(level + draw.gauss(0, 0.012), 0.0), 1.0)
    tokens = {"think": 92.0, "adaptive": 70.0, "no_think": 9.0}[mode] + draw.gauss(0, 2)
    tokens = tokens if name != "system1" else 8.0 + draw.random()
    middle = int(tokens).bit_length()
    counts = [int(90 * draw.random()) if abs(i - middle) < 2 else 0 for i in range(10)]
    return {
        **{"student": STUDENT, "subset": subset, "format": name, "seed": seed, "mode": mode},
        **{"benchmark": benchmark, "num_questions": 300, "repeats": 1, "accuracy": accuracy},
        "standard_error": (accuracy * (1 - accuracy) / 300) ** 0.5,
        "by_category": {
            f"{step} steps": {
                "num": 60,
                "accuracy": max(0.0, min(1.0, accuracy + 0.3 - 0.1 * step)),
            }
            for step in (2, 4, 6, 8, 10)
        },
        **{"mean_tokens": tokens, "median_tokens": tokens - 1},
        "token_histogram": {"edges": [0, *(2**i for i in range(10))], "counts": counts},
        **{"truncation_rate": 0.02, "no_answer_rate": 0.03, "failed": 0},
        "thinking_rate": 0.0 if mode == "no_think" else 0.98,
        "sampling": {"temperature": 0.6, "top_p": 0.95, "max_tokens": 256},
        **{"prompt_digest": "5f0c11d2aa9e01b7", "versions": {"torch": "2.13", "vllm": None}},
        "source": {
            "path": f"evals/{STUDENT}/{subset}/{name}/seed{seed}/{benchmark}/{mode}.json",
            **{"spec_digest": "9a61e2", "command": f"snakemake evals/{subset}/{mode}.json"},
        },
    }


def make_scores(
    num_seeds: int = 5, benchmarks: tuple[str, ...] = ("micro_steps", "micro_mixed")
) -> Any:
    """Return scores of an untrained student, three sizes, five selectors and four formats."""
    levels = {subset: 0.22 + 0.1 * i for i, subset in enumerate(SIZES)}
    groups = {(subset, "system2"): level for subset, level in levels.items()}
    groups |= {(f"{s}-512", "system2"): 0.3 + 0.015 * i for i, s in enumerate(SELECTORS)}
    groups |= {("random-512", name): 0.25 + 0.05 * i for i, name in enumerate(FORMATS)}
    rows = [score("none", "none", 0, m, b, 0.02) for m in MODES for b in benchmarks]
    for (subset, name), level in groups.items():
        for seed in range(num_seeds):
            for mode in MODES:
                for benchmark in benchmarks:
                    shift = {"think": 0.0, "adaptive": -0.02, "no_think": -0.12}[mode]
                    rows.append(score(subset, name, seed, mode, benchmark, level + shift))
    return rows


def make_bare(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return scores without categories and lengths: fewer figures to draw."""
    return [
        {**row, "by_category": {}, "token_histogram": {"edges": [0], "counts": []}} for row in rows
    ]


def side(subset: str, name: str = "system2", mode: str = "think") -> dict[str, str]:
    """Return a filter on scores."""
    return {"student": STUDENT, "subset": subset, "format": name, "mode": mode}


def make_study() -> dict[str, Any]:
    """Return a study with claims, open comparisons and one comparison without scores."""
    claims: list[dict[str, Any]] = [
        {
            **{"name": "more examples", "kind": "scaling", "groups": [side(s) for s in SIZES]},
            "claim": "More random examples help (C1)",
        },
        {
            **{"name": "thinking", "kind": "modes"},
            "a": {"student": STUDENT, "subset": "random-512", "format": "mix-difficulty"},
            "claim": "A student of mixed formats answers better when it thinks (C9)",
        },
        {
            **{"name": "difficulty mix", "kind": "difference"},
            **{"a": side("random-512", "mix-difficulty"), "b": side("random-512", "mix-random-40")},
            "claim": "Mixing by difficulty beats mixing at random (C8)",
        },
        {
            **{"name": "training", "kind": "difference", "b": side("none", "none")},
            **{"a": side("random-128"), "claim": "Any training beats none"},
        },
    ]
    for name in SELECTORS:
        other = {"name": f"{name} against random", "kind": "difference", "claim": None}
        claims.append({**other, "a": side(f"{name}-512"), "b": side("random-512")})
    claims.append(
        {"name": "larger", "kind": "difference", "a": side("x"), "b": side("y"), "claim": "z"}
    )
    return {
        **{"name": "micro", "title": "Which reasoning traces should a tiny student learn from?"},
        "notes": "An invented study with invented numbers, made to test the page.\n\nMore.",
        **{"is_micro": True, "chance": {"micro_mixed": 0.1}, "comparisons": claims},
        "published": [{"table": "1", "row": "NT Random 10k", "accuracy": {"gpqa_diamond": 37.6}}],
    }


def make_histograms(name: str, number: int) -> dict[str, Any]:
    """Return invented histograms of lengths, domains and strategies over `number` examples."""
    draw = rng("histogram", name)
    peak = draw.randint(4, 12)
    return {
        "num_tokens": {
            "edges": [20 * i for i in range(21)],
            "counts": [max(1, number // (2 + abs(i - peak) ** 2)) for i in range(20)],
        },
        "domain": {d: int(number * (0.08 + 0.2 * draw.random())) for d in DOMAINS},
        "strategies": {
            s: int(number * (0.9 / (i + 1)) * (0.5 + draw.random() / 2))
            for i, s in enumerate(STRATEGIES)
        },
    }


def make_rules() -> list[dict[str, Any]]:
    """Return three rules as they ran; the last one reads both others."""
    reads: dict[str, list[str]] = {"ingest_pool": [], "annotate": ["ingest_pool"]}
    reads["select_subset"] = ["annotate", "ingest_pool"]
    stages = ("prompts", "annotations", "subsets")
    return [
        {"rule": name, "stage": stage, "num_jobs": 3, "seconds": 2.5, "reads": found}
        for stage, (name, found) in zip(stages, reads.items(), strict=True)
    ]


def make_data() -> dict[str, Any]:
    """Return the manifests, runs, samples and timings of the invented study."""
    sizes = SIZES | {f"{name}-512": 512 for name in SELECTORS}
    subset = {"num_available": 5610, "pool": "micro", "teacher": "procedural", "params": {}}
    run = {
        "num_tokens": 91_000,
        "num_steps": 400,
        "world_size": 2,
        "zero_stage": 2,
        "final_loss": 0.41,
    }
    trained = [(s, "system2") for s in sizes] + [("random-512", name) for name in FORMATS]
    return {
        "subsets": [
            {
                **{**subset, "subset": name, "selector": name.rsplit("-", 1)[0], "size": size},
                **{"seed": seed, "histograms": make_histograms(name, size)},
            }
            for name, size in sizes.items()
            for seed in range(5)
        ],
        "pools": [
            {
                **{
                    "pool": "micro",
                    "num_rows_in": 6000,
                    "num_kept": 5800,
                    "dropped": {"duplicate": 200},
                },
                "histograms": make_histograms("pool", 5800),
            }
        ],
        "traces": [
            {
                **{"pool": "micro", "teacher": "procedural", "num_rows": 5800},
                "incomplete": {"reasoning not closed": 190},
                **{"failed": {"timeout": 3}, "mean_tokens": 101.5},
            }
        ],
        "annotations": [
            {
                **{"pool": "micro", "teacher": "procedural", "annotator": "verbosity"},
                **{"num_rows": 5610, "failed": {"no number": 12}, "values": {"5": 5598}},
            }
        ],
        "runs": [
            {
                **{**run, "student": STUDENT, "subset": name, "format": form, "seed": seed},
                **{"num_examples": sizes[name], "wall_seconds": 38.5, "tokens_per_second": 4800.0},
                "loss_curve": [[i, 0.4 + 3 / (1 + i / (9 + seed))] for i in range(0, 400, 4)],
                "dropped": {"longer than the context": 1},
            }
            for name, form in trained
            for seed in range(5)
        ],
        "samples": [
            {
                **{
                    "benchmark": "micro_steps",
                    "mode": "think",
                    "question": f"What is {i} + <b>2</b> | 3?",
                },
                **{"student": STUDENT, "subset": "random-512", "format": "system2", "seed": i},
                **{
                    "reasoning": f"First {i} + 2.\nThen + 3." * 4,
                    "answer": str(i + 5),
                    "gold": "7",
                },
                "is_correct": i == 2,
            }
            for i in range(3)
        ],
        "timings": {
            **{"wall_seconds": 1260.5, "startup_share": 0.21, "peak_mib": 1480},
            "rules": make_rules(),
            "seconds_per_stage": {
                "prompts": 3.1,
                "traces": 9.2,
                "subsets": 6.0,
                "sft": 1580.0,
                "evals": 640.0,
            },
        },
    }


NO_DATA: dict[str, Any] = {
    **{"subsets": [], "pools": [], "traces": [], "annotations": [], "runs": [], "samples": []},
    "timings": {},
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a report with every section."""
    folder: Path = tmp_path_factory.mktemp("report")
    build_report(make_study(), make_scores(), **make_data(), out_dir=folder)
    return folder


class Outline(HTMLParser):
    """Collects what the page's structure is judged by."""

    VOID = frozenset({"meta", "link", "br", "path", "use", "rect"})

    def __init__(self) -> None:
        """Start with nothing open."""
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember a tag and that it is open."""
        self.seen.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember a tag that closes itself."""
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Close the innermost tag, which must be this one."""
        assert self.open.pop() == tag


def read_outline(folder: Path) -> tuple[str, Outline]:
    """Return a page's text and outline."""
    text = (folder / "index.html").read_text()
    outline = Outline()
    outline.feed(text)
    return text, outline


def test_paired_t_agrees_with_scipy() -> None:
    """The paired t test is scipy's, interval included."""
    a, b = [0.52, 0.55, 0.49, 0.58, 0.51], [0.50, 0.51, 0.50, 0.52, 0.49]
    reference = stats.ttest_rel(a, b)
    interval = reference.confidence_interval(0.95)

    found = run_paired_t([x - y for x, y in zip(a, b, strict=True)])

    assert found.p_value == pytest.approx(reference.pvalue)
    assert found.interval == pytest.approx((interval.low, interval.high))


def test_paired_t_of_a_textbook_example() -> None:
    """Differences 1, 2, 3: mean 2, s.e. 1/sqrt(3), t = 3.4641, p = 0.0742 with two degrees."""
    found = run_paired_t([1.0, 2.0, 3.0])

    assert found.standard_error == pytest.approx(3**-0.5)
    assert found.p_value == pytest.approx(0.07418, abs=1e-5)
    assert found.interval == pytest.approx((-0.48414, 4.48414), abs=1e-4)


def test_holm_known_values() -> None:
    """The same numbers as R's p.adjust(method = "holm")."""
    assert correct_holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert correct_holm([0.6, 0.9]) == [1.0, 1.0]
    assert correct_holm([]) == []


@pytest.mark.parametrize(
    ("gap", "claim", "num_seeds", "verdict"),
    [
        (0.2, "c", 4, "supported"),
        (-0.2, "c", 4, "opposite"),
        (0.0, "c", 4, "not supported"),
        (0.2, "c", 2, "not enough data"),
        (0.2, None, 4, "above"),
        (-0.2, None, 4, "below"),
        (0.0, None, 4, "no difference seen"),
    ],
)
def test_verdicts(gap: float, claim: str | None, num_seeds: int, verdict: str) -> None:
    """Verdicts follow sign, corrected p and number of seeds."""
    rows = [score("a", "system2", seed, "think", level=0.4 + gap) for seed in range(num_seeds)]
    rows += [score("b", "system2", seed, "think", level=0.4) for seed in range(num_seeds)]
    question = {"name": "q", "kind": "difference", "a": side("a"), "b": side("b"), "claim": claim}

    (effect,) = measure_effects([question], rows)

    assert effect.verdict == verdict
    assert effect.num_seeds == num_seeds


def test_modes_need_no_second_filter() -> None:
    """A comparison of modes is think minus no_think, with the ratio of tokens."""
    question = {"name": "q", "kind": "modes", "a": {"subset": "random-512", "format": "system2"}}

    (effect,) = measure_effects([question], make_scores())

    assert effect.difference == pytest.approx(0.12, abs=0.02)
    assert effect.tokens_ratio is not None and effect.tokens_ratio > 5
    assert "adaptive" in effect.note


def test_ambiguous_and_unknown_filters_are_refused() -> None:
    """A filter that leaves the mode open, or has a wrong field, says what to do."""
    rows = make_scores(2)
    open_mode = {"name": "q", "kind": "difference", "a": {"subset": "random-512"}, "b": {}}
    with pytest.raises(ValueError, match="more than one score of seed 0"):
        measure_effects([open_mode], rows)
    with pytest.raises(ValueError, match="sub_set"):
        measure_effects([{**open_mode, "a": {"sub_set": "x"}}], rows)


def test_incomplete_seeds_are_left_out_and_named() -> None:
    """A seed without one of the benchmarks cannot be paired."""
    rows = [
        r
        for r in make_scores()
        if (r["subset"], r["seed"], r["benchmark"]) != ("random-512", 3, "micro_mixed")
    ]
    question = {"name": "q", "kind": "difference", "a": side("long-512"), "b": side("random-512")}

    (effect,) = measure_effects([question], rows)

    assert effect.num_seeds == 4
    assert "[3]" in effect.note


def test_page_is_well_formed_and_stands_alone(report: Path) -> None:
    """Tags are balanced, ids unique, links resolve, nothing is fetched, tables have captions."""
    text, outline = read_outline(report)
    ids = [attributes["id"] for _, attributes in outline.seen if "id" in attributes]
    links = [a["href"] or "" for tag, a in outline.seen if tag == "a" and "href" in a]

    assert outline.open == []
    assert len(ids) == len(set(ids))
    assert all(link[1:] in ids for link in links if link.startswith("#"))
    assert all((report / link).is_file() for link in links if not link.startswith("#"))
    assert not re.search(
        r"(src|href|xlink:href)=\"https?:|url\(http|@import|<script src|<link", text
    )
    assert text.count("<caption") == text.count("<table") > 8
    assert text.count("<svg") == text.count('role="img"') == text.count("<title id=") == 11
    assert all(a.get("scope") for tag, a in outline.seen if tag == "th")
    assert "<b>2</b>" not in text and "&lt;b&gt;2" in text


@pytest.mark.skipif(find_browser() is None, reason="needs Chromium")
def test_page_can_be_used_by_everybody(report: Path, tmp_path: Path) -> None:
    """In a browser: nothing in the console, keyboard, names, contrast; a bad page is found out."""
    assert open_in_browser(report / "index.html") == []

    page = (report / "index.html").read_text()
    for good, bad in (
        ("--muted:#6a665f", "--muted:#b0aca4"),
        ("const boxes", "missing(); const boxes"),
        ('scope="col"', ""),
        ("outline: 2px", "outline: 0px"),
        ("body {", "body { min-width: 500px;"),
    ):
        assert good in page
        page = page.replace(good, bad, 1)
    (tmp_path / "index.html").write_text(page)
    found = "\n".join(open_in_browser(tmp_path / "index.html"))

    for defect in (
        *("ReferenceError", "without a scope", "does not show that it has the focus"),
        *("has a contrast of 2", "500 px wide in a window of 390"),
    ):
        assert defect in found


def test_sections_and_files(report: Path) -> None:
    """Every section has a body, every figure three files, every table two."""
    text, _ = read_outline(report)
    figures = {path.name for path in (report / "figures").iterdir()}
    tables = {path.suffix for path in (report / "tables").iterdir()}

    assert len(re.findall("<section ", text)) == 16
    assert len(figures) == 33 and "scaling.svg" in figures
    assert tables == {".csv", ".md"}
    for path in sorted((report / "figures").glob("*.svg")):
        ElementTree.fromstring(path.read_text())
    with (report / "tables" / "effects.csv").open() as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    assert rows["more examples"]["verdict"] == "supported"
    assert rows["larger"]["verdict"] == "not enough data"
    assert "no score of micro-llama / x" in rows["larger"]["note"]


def test_published_numbers_stand_beside_ours() -> None:
    """Ours, its error and the difference in points; what was not run or not known is a dash."""
    cells = build_cells([score("random-512", "system2", 0, "think", level=0.5)], {})
    ours = {**side("random-512"), "student": STUDENT}
    row = {
        "table": "4",
        "row": "Random",
        "tokens": {"micro_steps": 5134},
        "note": "other questions",
    }
    known = {**row, "accuracy": {"micro_steps": 48.0}, "marks": {"micro_steps": "A"}}

    found, other = tabulate_published(
        [{**known, "filter": ours}, {**row, "filter": ours}, {**known, "table": "5"}],
        cells,
        is_micro=False,
    )

    accuracy, error = cells[0].accuracy, cells[0].standard_error
    first, second = found.rows
    assert first["difference"] == pytest.approx(accuracy - 0.48)
    assert first["standard_error"] == error
    assert second["paper"] is None and second["difference"] is None
    assert "| 48.0 | A |" in render_markdown(found) and "5,134" in render_markdown(found)
    assert [other.name, other.rows[0]["ours"]] == ["paper-5", None]
    with pytest.raises(ValueError, match="fits 2 runs"):
        tabulate_published(
            [{**known, "filter": {"student": STUDENT}}],
            [*cells, *build_cells([score("x", "system2", 0, "think")], {})],
            is_micro=False,
        )


def invent_answers(shift: float) -> Any:
    """Return what invents the share right of 300 questions; subset `a` is better by `shift`."""

    def answers(found: Any) -> dict[str, float]:
        draw = rng("answers", found["benchmark"])
        extra = rng("extra", found["subset"], found["benchmark"])
        level = {f"q{number}": draw.random() for number in range(300)}
        own = shift if found["subset"] == "a" else 0.0
        return {name: value + own + extra.gauss(0, 0.1) for name, value in level.items()}

    return answers


@pytest.mark.parametrize(
    ("shift", "more", "verdict"),
    [
        (0.05, {}, "supported"),
        (-0.05, {}, "opposite"),
        (0.0, {}, "not supported"),
        (0.0, {"within": 3}, "supported"),
        (0.05, {"within": 3}, "not supported"),
    ],
)
def test_one_seed_is_tested_over_questions(
    shift: float, more: dict[str, Any], verdict: str
) -> None:
    """The mean of two benchmarks, each paired by question; within: two one-sided tests."""
    rows = [score(s, "system2", 0, "think", b) for s in "ab" for b in ("x", "y", "z")]
    sides = {key: {**side(key), "benchmark": ["x", "y"]} for key in "ab"}
    question = {"name": "q", "kind": "difference", **sides, "claim": "c", **more}
    answers = invent_answers(shift)

    (effect,) = measure_effects([question], rows, answers)

    left, right = (
        {r["benchmark"]: answers(r) for r in rows if r["subset"] == name} for name in "ab"
    )
    tests = [run_paired_t([left[b][q] - right[b][q] for q in left[b]]) for b in ("x", "y")]
    errors = [test.standard_error or 0 for test in tests]
    assert (effect.verdict, effect.basis, effect.benchmark) == (verdict, "questions", "mean of 2")
    assert effect.difference == pytest.approx(sum(test.mean for test in tests) / 2)
    assert effect.standard_error == pytest.approx((errors[0] ** 2 + errors[1] ** 2) ** 0.5 / 2)


def test_alike_agrees_with_scipy() -> None:
    """Two one-sided tests: the larger of their p values."""
    values = [0.011, -0.013, 0.004, 0.02, -0.008, 0.001]
    below = stats.ttest_1samp(values, -0.02, alternative="greater").pvalue
    above = stats.ttest_1samp(values, 0.02, alternative="less").pvalue

    assert compare_alike(run_paired_t(values), 0.02) == pytest.approx(max(below, above))


def test_other_questions_are_not_compared() -> None:
    """Sides that answered other questions, or too few, stay without a test."""
    rows = [score(s, "system2", 0, "think") for s in "ab"]
    question = {"name": "q", "kind": "difference", "a": side("a"), "b": side("b"), "claim": "c"}

    (effect,) = measure_effects(
        [question], rows, lambda r: {f"{r['subset']}{n}": 1.0 for n in range(50)}
    )

    assert (effect.verdict, effect.basis) == ("not enough data", "seeds")


def test_ratio_of_lengths_agrees_with_scipy() -> None:
    """The test is a t test of a - r b, and the ends of the interval are where it reaches 5 %."""
    draw = rng("lengths")
    b = [draw.uniform(20, 60) for _ in range(12)]
    a = [2.3 * each + draw.gauss(0, 15) for each in b]
    ratio = pair_lengths(a, b)
    assert ratio is not None and ratio.interval is not None

    def differences(factor: float) -> list[float]:
        return [x - factor * y for x, y in zip(a, b, strict=True)]

    for end in ratio.interval:
        assert run_paired_t(differences(end)).p_value == pytest.approx(0.05)
    assert ratio.value == pytest.approx(sum(a) / sum(b))
    assert find_p_value(ratio, "longer") == pytest.approx(
        stats.ttest_1samp(differences(2), 0).pvalue
    )
    assert find_p_value(ratio, "fewer") == pytest.approx(stats.ttest_rel(a, b).pvalue)
    below = stats.ttest_1samp(differences(2), 0, alternative="less").pvalue
    assert find_p_value(ratio, "alike") == pytest.approx(below)
    same = pair_lengths(b, b)
    assert same is not None and find_p_value(same, "fewer") == 1.0


@pytest.mark.parametrize(
    ("ratio", "claim", "verdict"),
    [
        (2.4, "longer", "supported"),
        (2.0, "longer", "not supported"),
        (1.5, "longer", "opposite"),
        (1.5, "alike", "supported"),
        (0.4, "alike", "not supported"),
        (0.9, "fewer", "supported"),
        (1.1, "fewer", "opposite"),
    ],
)
def test_lengths_are_tested_over_questions(ratio: float, claim: str, verdict: str) -> None:
    """With one seed a claim about lengths is paired by question; one that failed is left out."""
    rows = [score(s, "system2", 0, "think") for s in "ab"]
    question = {"name": "q", "kind": "difference", "a": side("a"), "b": side("b"), "claim": "c"}
    published = [
        {"table": "4", "row": n, "tokens": {"micro_steps": v}, "filter": side(n)}
        for n, v in (("a", 90), ("b", 100))
    ]

    def lengths(found: Any) -> dict[str, float | None]:
        draw, factor = rng(found["subset"]), ratio if found["subset"] == "a" else 1.0
        known = {f"q{n}": factor * (100 + n + draw.gauss(0, 5)) for n in range(40)}
        return {**known, "failed": None if found["subset"] == "a" else 50.0}

    (effect,) = measure_effects(
        [{**question, "tokens": claim}], rows, None, published, lengths=lengths
    )

    assert (effect.verdict, effect.basis, effect.num_seeds) == (verdict, "questions", 1)
    assert effect.tokens_ratio == pytest.approx(ratio, rel=0.03)
    assert effect.paper == pytest.approx(0.9)
    (alone,) = measure_effects([{**question, "tokens": claim}], rows)
    assert alone.verdict == "not enough data"


def test_claims_need_all_their_parts(tmp_path: Path) -> None:
    """One part that fails, is missing or is opposite decides; the paper's effect stands beside."""
    levels = {"low": 0.2, "middle": 0.3, "high": 0.5}
    rows = [
        score(name, "system2", seed, mode, level=level)
        for name, level in levels.items()
        for seed in range(4)
        for mode in ("think", "no_think")
    ]
    pairs = {"up": ("high", "low"), "down": ("low", "high"), "gone": ("high", "x")}
    parts: list[dict[str, Any]] = [
        {"name": n, "kind": "difference", "a": side(a), "b": side(b), "claim": n}
        for n, (a, b) in pairs.items()
    ]
    modes = {"kind": "modes", "a": {"subset": "high"}, "claim": "it switches"}
    parts += [{**modes, "name": n, "tokens": n} for n in ("longer", "alike")]
    wanted = {"A": ["up", "longer"], "B": ["up", "down", "gone"], "C": ["gone", "up"]}
    wanted["D"] = ["up", "alike"]
    study = {
        **{"name": "s", "title": "T", "comparisons": parts},
        "claims": [{"name": n, "text": f"Claim {n}", "comparisons": c} for n, c in wanted.items()],
        "published": [
            {"table": "1", "row": n, "accuracy": {"micro_steps": v}, "filter": side(n)}
            for n, v in (("high", 40.0), ("low", 37.5))
        ],
    }
    build_report(study, make_bare(rows), **NO_DATA, out_dir=tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text())

    assert {claim["name"]: claim["verdict"] for claim in summary["claims"]} == {
        **{"A": "supported", "B": "opposite"},
        **{"C": "not enough data", "D": "not supported"},
    }
    assert summary["effects"][0]["paper"] == pytest.approx(0.025)
    assert "Supported: A. Claim A. 2 of 2 comparisons supported." in summary["headline"]
    assert "+2.5" in (tmp_path / "tables" / "claims.md").read_text()


def test_other_readings_of_the_same_answers() -> None:
    """Macro averages and others' graders beside micro; one seed has the error over questions."""
    part = {"num": 10, "accuracy": 0.4, "standard_error": 0.1}
    extra = {
        "macro": {"category": {"num_groups": 5, "accuracy": 0.45, "standard_error": 0.03}},
        "alternatives": {
            "simple": {"accuracy": 0.3, "standard_error": 0.02, "no_answer_rate": 0.2}
        },
        "by_level": {
            "difficulty": {"easy": part, "hard": part},
            "many": {str(i): part for i in range(30)},
        },
        "by_category": {"x": part},
    }
    one = score("a", "system2", 0, "think") | extra | {"accuracy": 0.5}
    two = score("a", "system2", 1, "think") | extra | {"accuracy": 0.6}

    single, several = tabulate_readings([one]), tabulate_readings([one, two])
    levels = tabulate_levels([one])

    assert single is not None and several is not None and levels is not None
    assert [row["reading"] for row in single.rows] == [
        *("micro", "macro over 5 groups of category", "grader simple")
    ]
    assert [row["standard_error"] for row in single.rows][1:] == [0.03, 0.02]
    assert [row["difference"] for row in several.rows] == [None, *map(pytest.approx, (-0.1, -0.25))]
    assert several.rows[2]["no_answer"] == pytest.approx(0.2)
    assert [(row["level"], row["group"]) for row in levels.rows] == [
        *(("difficulty", "easy"), ("difficulty", "hard"))
    ]
    assert build_cells([one], {})[0].by_category["x"] == (10, 0.4, 0.1)


def test_published_points_stand_in_the_figure_of_sizes() -> None:
    """A published number of the same run is a second point at its size; others have none."""
    cells = build_cells([score(s, "system2", 0, "think") for s in SIZES], SIZES)
    scaling = {"name": "s", "kind": "scaling", "groups": [side(s) for s in SIZES]}
    row = {
        "table": "1",
        "row": "r",
        "accuracy": {"micro_steps": 40.0},
        "filter": side("random-512"),
    }

    chart = draw_scaling([scaling], cells, {}, [row])

    assert chart is not None
    assert [point["paper"] for point in chart.rows] == [None, pytest.approx(0.4), None]


def test_published_points_stand_in_the_figure_of_tokens() -> None:
    """A published accuracy with its tokens is a second point; one without tokens has no place."""
    names = ("system1", "system2", "mix")
    cells = build_cells([score("a", name, 0, "think", level=0.5) for name in names], {})
    row = {"table": "4", "row": "r", "accuracy": {"micro_steps": 40.0}}
    known = {**row, "tokens": {"micro_steps": 300.0}, "filter": side("a", "system2")}

    chart = draw_tokens(cells, [known, {**row, "filter": side("a", "mix")}])

    assert chart is not None
    points = {each["format"]: (each["paper"], each["paper_tokens"]) for each in chart.rows}
    assert points == {"system1": (None, None), "system2": (0.4, 300.0), "mix": (0.4, None)}
    assert [line.get_markerfacecolor() for line in chart.figure.axes[0].lines].count("none") == 1
    assert chart.figure.axes[0].get_xlim()[1] > 300


def test_figure_of_lengths_leaves_out_panels_of_one_point() -> None:
    """Formats were tried on one benchmark only: the others have nothing to compare."""
    rows = [score("a", name, 0, "think", "x") for name in ("system1", "system2")]
    rows += [score("a", "system2", 0, "think", "y")]

    chart = draw_tokens(build_cells(rows, {}))

    assert chart is not None
    assert {point["benchmark"] for point in chart.rows} == {"x"}


def test_headline_and_summary(report: Path) -> None:
    """The summary repeats the headline, the effects and the timings as given."""
    summary = json.loads((report / "summary.json").read_text())
    effects = {effect["name"]: effect for effect in summary["effects"]}

    assert summary["study"] == "micro"
    assert summary["peak_mib"] == 1480
    assert effects["more examples"]["interval"][0] > 0
    assert effects["larger"]["difference"] is None
    assert any("say nothing about the paper" in text for text in summary["headline"])
    assert any(
        text.startswith("Supported: More random examples help") for text in summary["headline"]
    )
    assert any("Nothing was measured" in text for text in summary["headline"])


def test_report_is_reproducible_and_leaves_out_what_it_lacks(tmp_path: Path) -> None:
    """Equal inputs give equal bytes; a report of scores alone has no empty section."""
    study = {"name": "s", "title": "T", "comparisons": make_study()["comparisons"][:1]}
    rows = make_bare(make_scores(3, ("micro_steps",)))
    for name in ("one", "two"):
        build_report(study, rows, **NO_DATA, out_dir=tmp_path / name)

    one, two = (
        {
            path.relative_to(folder): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        for folder in (tmp_path / "one", tmp_path / "two")
    )
    assert one == two
    text, outline = read_outline(tmp_path / "one")
    assert outline.open == []
    assert 'id="scores"' in text
    for absent in (
        "difficulty",
        "lengths",
        "selectors",
        "training",
        "samples",
        "costs",
        "paper",
        "strategies",
    ):
        assert f'id="{absent}"' not in text


def test_a_study_without_scores_still_has_a_page(tmp_path: Path) -> None:
    """An empty study says so."""
    build_report({"name": "s", "title": "T"}, [], **NO_DATA, out_dir=tmp_path)

    assert "No run of this study has a score yet" in (tmp_path / "index.html").read_text()


def test_unsolved_benchmarks_are_said_plainly(tmp_path: Path) -> None:
    """Near zero accuracy is stated, and no effect makes it into the headline."""
    rows = [score("a", "system2", s, "think", "gsm8k", 0.001) for s in range(3)]
    rows += [score("b", "system2", s, "think", "gsm8k", 0.002) for s in range(3)]
    question = {"name": "q", "kind": "difference", "a": side("a"), "b": side("b"), "claim": "c"}
    study = {"name": "s", "title": "T", "comparisons": [question]}
    build_report(study, make_bare(rows), **NO_DATA, out_dir=tmp_path)
    said = json.loads((tmp_path / "summary.json").read_text())["headline"]

    assert any("does not solve this benchmark" in text and "workflow runs" in text for text in said)
    assert len(said) == 2
    guesses = build_cells([score("a", "system2", s, "think", level=0.26) for s in range(3)], {})
    assert find_unsolved(guesses, {"micro_steps": 0.25})
    assert not find_unsolved(guesses, {"micro_steps": 0.10})


def test_arrows_that_follow_from_others_are_left_out() -> None:
    """Who reads the labels has read the pool by way of them."""
    assert reduce_edges(make_rules()) == [
        ("ingest_pool", "annotate"),
        ("annotate", "select_subset"),
    ]


def test_lengths_of_traces_are_read_off_histograms() -> None:
    """100 traces, evenly spread from 0 to 200: the quantiles are known; draws are added up."""
    half = {"num_tokens": {"edges": [0, 100, 200], "counts": [50, 0]}}
    other = {"num_tokens": {"edges": [0, 100, 200], "counts": [0, 50]}}
    subset = {"subset": "a", "size": 50}

    chart = draw_trace_lengths(
        [{**subset, "histograms": half}, {**subset, "histograms": other}],
        [{"pool": "p", "histograms": half}, {"pool": "none"}],
    )

    assert chart is not None
    assert [row["name"] for row in chart.rows] == ["p", "a"]
    assert [chart.rows[1][q] for q in ("0.05", "0.5", "0.95")] == pytest.approx([10, 100, 190])


def test_few_answers_are_shown_and_not_all_of_a_long_one() -> None:
    """At most 24 of a benchmark, half of them right where there are enough, over all runs."""
    one = {"benchmark": "b", "question": "q", "gold": "g", "answer": "a", "reasoning": "x" * 9000}
    samples = [{**one, "seed": n, "is_correct": n % 10 == 0} for n in range(300)]

    shown = choose_samples(samples)

    assert [sum(s["is_correct"] for s in shown), len(shown)] == [12, 24]
    assert max(each["seed"] for each in shown) > 250
    assert "3,000 characters left out" in shown[0]["reasoning"]
    assert len(choose_samples([s for s in samples if not s["is_correct"]])) == 24
    assert choose_samples(samples[:3]) == [
        {**s, "reasoning": shown[0]["reasoning"]} for s in samples[:3]
    ]


def test_small_pieces() -> None:
    """Numbers, natural order, and cells that would break Markdown or HTML."""
    table = Table(
        "t", "Caption", (Column("a", "A"), Column("b", "B", "number", group="G")), ({"a": "x|<y"},)
    )

    assert show_points(-0.0123) == "\u22121.2" and show_points(0.00001) == "0.0"
    assert sort_naturally(["level 10", "level 2"]) == ["level 2", "level 10"]
    grouped = replace(table, heading=lambda row: ("One & all", "supported"))
    assert 'scope="rowgroup" colspan="2"><div>One &amp; all <span' in render_html(grouped)
    assert "| **One & all** supported |  |" in render_markdown(grouped)
    assert "x\\|<y" in render_markdown(table)
    assert "x|&lt;y" in render_html(table) and 'scope="colgroup"' in render_html(table)


def test_a_shared_axis_shows_the_highest_panel() -> None:
    from nt_pkg.report.canvas import make_panels, start_at_zero

    _, panels = make_panels(2, sharey=True)
    panels[0].plot([0, 1], [10.0, 20.0])
    panels[1].plot([0, 1], [10.0, 80.0])
    start_at_zero(panels)

    for axes in panels:
        low, high = axes.get_ylim()
        assert low <= 0 and high >= 80
