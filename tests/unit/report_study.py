"""An invented study for tests of the report: scores, manifests and runs as records."""

from dataclasses import replace
from typing import Any

from nt_pkg.config.report import Comparison, Report
from nt_pkg.identity.seeds import rng
from nt_pkg.report.cells import build_cells
from nt_pkg.report.material import Material
from nt_pkg.report.records import (
    AnnotationCounts,
    Histogram,
    Histograms,
    Inputs,
    Pool,
    Reading,
    RuleRun,
    Run,
    Sample,
    Score,
    Source,
    Study,
    Subset,
    Timings,
    TraceSet,
)
from tests.unit.report_rows import (
    make_means,
    make_overlaps,
    make_pick,
    make_pool_sample,
    make_solved,
)

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
    subset: str,
    form: str,
    seed: int,
    mode: str,
    benchmark: str = "micro_steps",
    level: float = 0.5,
    **more: Any,
) -> Score:
    """Return one invented score; `more` are fields that it shall have."""
    draw = rng("score", subset, form, seed, mode, benchmark)
    accuracy = min(max(level + draw.gauss(0, 0.012), 0.0), 1.0)
    tokens = {"think": 92.0, "adaptive": 70.0, "no_think": 9.0}[mode] + draw.gauss(0, 2)
    tokens = tokens if form != "system1" else 8.0 + draw.random()
    middle = int(tokens).bit_length()
    counts = [int(90 * draw.random()) if abs(i - middle) < 2 else 0 for i in range(10)]
    found = Score(
        student=STUDENT,
        subset=subset,
        format=form,
        seed=seed,
        mode=mode,
        benchmark=benchmark,
        num_questions=300,
        repeats=1,
        accuracy=accuracy,
        standard_error=(accuracy * (1 - accuracy) / 300) ** 0.5,
        by_category={
            f"{step} steps": Reading(max(0.0, min(1.0, accuracy + 0.3 - 0.1 * step)), num=60)
            for step in (2, 4, 6, 8, 10)
        },
        mean_tokens=tokens,
        median_tokens=tokens - 1,
        token_histogram=Histogram([0, *(2**i for i in range(10))], counts),
        truncation_rate=0.02,
        no_answer_rate=0.03,
        failed=0,
        thinking_rate=0.0 if mode == "no_think" else 0.98,
        sampling={"temperature": 0.6, "top_p": 0.95, "max_tokens": 256},
        prompt_digest="5f0c11d2aa9e01b7",
        versions={"torch": "2.13", "vllm": None},
        source=Source(
            f"evals/{STUDENT}/{subset}/{form}/seed{seed}/{benchmark}/{mode}.json",
            "9a61e2",
            f"snakemake evals/{subset}/{mode}.json",
        ),
    )
    return replace(found, **more)


def make_scores(
    num_seeds: int = 5, benchmarks: tuple[str, ...] = ("micro_steps", "micro_mixed")
) -> list[Score]:
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


def make_bare(scores: list[Score]) -> list[Score]:
    """Return scores without categories and lengths: fewer figures to draw."""
    nothing = Histogram([0], [])
    return [replace(each, by_category={}, token_histogram=nothing) for each in scores]


def side(subset: str, name: str = "system2", mode: str = "think") -> dict[str, str]:
    """Return a filter on scores."""
    return {"student": STUDENT, "subset": subset, "format": name, "mode": mode}


def compare(a: dict[str, Any], b: dict[str, Any], claim: str | None = "c", **more: Any) -> Any:
    """Return a comparison of two sides, called q."""
    return Comparison(name="q", kind="difference", a=a, b=b, claim=claim, **more)


def make_study(title: str = "T", **report: Any) -> Study:
    """Return a study called s with such a report."""
    return Study("s", Report(title=title, **report))


def make_material(
    scores: list[Score], sizes: dict[str, int] | None = None, **more: Any
) -> Material:
    """Return what parts of the page draw from, of a study of some scores; `more` are its fields."""
    study = more.pop("study", make_study())
    return Material(study, scores, cells=build_cells(scores, sizes or {}), **more)


def make_comparisons() -> list[Comparison]:
    """Return claims, open comparisons and one comparison without scores."""
    groups = [side(name) for name in SIZES]
    mixed = {"student": STUDENT, "subset": "random-512", "format": "mix-difficulty"}
    claims = [
        Comparison(
            name="more examples",
            kind="scaling",
            groups=groups,
            claim="More random examples help (C1)",
        ),
        Comparison(
            name="thinking",
            kind="modes",
            a=mixed,
            claim="A student of mixed formats answers better when it thinks (C9)",
        ),
        Comparison(
            name="difficulty mix",
            kind="difference",
            a=side("random-512", "mix-difficulty"),
            b=side("random-512", "mix-random-40"),
            claim="Mixing by difficulty beats mixing at random (C8)",
        ),
        Comparison(
            name="training",
            kind="difference",
            a=side("random-128"),
            b=side("none", "none"),
            claim="Any training beats none",
        ),
    ]
    for name in SELECTORS:
        asked = compare(side(f"{name}-512"), side("random-512"), None)
        claims.append(asked.model_copy(update={"name": f"{name} against random"}))
    missing = compare(side("x"), side("y"), "z")
    return [*claims, missing.model_copy(update={"name": "larger"})]


def make_whole_study() -> Study:
    """Return a study with every kind of comparison and a published number."""
    published = {"table": "1", "row": "NT Random 10k", "accuracy": {"gpqa_diamond": 37.6}}
    report = Report(
        title="Which reasoning traces should a tiny student learn from?",
        notes="An invented study with invented numbers, made to test the page.\n\nMore.",
        is_micro=True,
        comparisons=make_comparisons(),
        published=[published],
    )
    return Study("micro", report, {"micro_mixed": 0.1})


def make_histograms(name: str, number: int) -> Histograms:
    """Return invented histograms of lengths, domains and strategies over `number` examples."""
    draw = rng("histogram", name)
    peak = draw.randint(4, 12)
    return Histograms(
        num_tokens=Histogram(
            [20 * i for i in range(21)],
            [max(1, number // (2 + abs(i - peak) ** 2)) for i in range(20)],
        ),
        domain={d: int(number * (0.08 + 0.2 * draw.random())) for d in DOMAINS},
        strategies={
            s: int(number * (0.9 / (i + 1)) * (0.5 + draw.random() / 2))
            for i, s in enumerate(STRATEGIES)
        },
    )


def make_rules() -> list[RuleRun]:
    """Return three rules as they ran; the last one reads both others."""
    reads: dict[str, list[str]] = {"ingest_pool": [], "annotate": ["ingest_pool"]}
    reads["select_subset"] = ["annotate", "ingest_pool"]
    stages = ("prompts", "annotations", "subsets")
    return [
        RuleRun(rule=name, stage=stage, num_jobs=3, seconds=2.5, reads=found)
        for stage, (name, found) in zip(stages, reads.items(), strict=True)
    ]


def make_subset(name: str, seed: int = 0, **more: Any) -> Subset:
    """Return one draw of a subset; `more` are fields that it shall have."""
    fields: dict[str, Any] = {
        "selector": name.rsplit("-", 1)[0],
        "size": 512,
        "num_available": 5610,
        "pool": "micro",
        "teacher": "procedural",
    }
    return Subset(subset=name, seed=seed, **(fields | more))


def make_run(subset: str, form: str, seed: int, size: int) -> Run:
    """Return a finished training."""
    return Run(
        student=STUDENT,
        subset=subset,
        format=form,
        seed=seed,
        num_examples=size,
        num_tokens=91_000,
        num_steps=400,
        world_size=2,
        zero_stage=2,
        final_loss=0.41,
        wall_seconds=38.5,
        tokens_per_second=4800.0,
        loss_curve=[(i, 0.4 + 3 / (1 + i / (9 + seed))) for i in range(0, 400, 4)],
        dropped={"longer than the context": 1},
    )


def make_sample(number: int, **more: Any) -> Sample:
    """Return an answer; `more` are fields that it shall have."""
    fields: dict[str, Any] = {
        "benchmark": "micro_steps",
        "mode": "think",
        "question": f"What is {number} + <b>2</b> | 3?",
        "reasoning": f"First {number} + 2.\nThen + 3." * 4,
        "answer": str(number + 5),
        "gold": "7",
        "is_correct": number == 2,
    }
    names = {"student": STUDENT, "subset": "random-512", "format": "system2", "seed": number}
    return Sample(**(names | fields | more))


def make_inputs() -> Inputs:
    """Return the records of the whole invented study."""
    sizes = SIZES | {f"{name}-512": 512 for name in SELECTORS}
    trained = [(s, "system2") for s in sizes] + [("random-512", name) for name in FORMATS]
    return Inputs(
        study=make_whole_study(),
        scores=make_scores(),
        subsets=[
            make_subset(
                name,
                seed,
                size=size,
                histograms=make_histograms(name, size),
                means=make_means(name),
            )
            for name, size in sizes.items()
            for seed in range(5)
        ],
        pools=[
            Pool(
                pool="micro",
                num_rows_in=6000,
                num_kept=5800,
                dropped={"duplicate": 200},
                histograms=make_histograms("pool", 5800),
            )
        ],
        traces=[
            TraceSet(
                pool="micro",
                teacher="procedural",
                num_rows=5800,
                incomplete={"reasoning not closed": 190},
                failed={"timeout": 3},
                mean_tokens=101.5,
            )
        ],
        annotations=[
            AnnotationCounts(
                pool="micro",
                teacher="procedural",
                annotator="verbosity",
                num_rows=5610,
                failed={"no number": 12},
            )
        ],
        runs=[
            make_run(name, form, seed, sizes[name]) for name, form in trained for seed in range(5)
        ],
        samples=[make_sample(number) for number in range(3)],
        timings=Timings(
            {"prompts": 3.1, "traces": 9.2, "subsets": 6.0, "sft": 1580.0, "evals": 640.0},
            make_rules(),
        ),
        overlaps=make_overlaps(sorted(sizes)),
        picks=[make_pick()],
        pool_sample=make_pool_sample(),
        solved=[make_solved()],
    )
