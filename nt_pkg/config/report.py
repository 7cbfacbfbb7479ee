"""The comparisons and contents of a study's report."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from nt_pkg.config.base import NAME, Strict


class Comparison(Strict):
    """A question that the report answers with a test, over trainings and questions."""

    name: str = Field(description="Name in summary.json.")
    kind: Literal["difference", "scaling", "modes"] = Field(
        description="difference: a minus b; scaling: groups in order of size; modes: one student, "
        "a minus b in accuracy and tokens."
    )
    a: dict[str, Any] = Field(default_factory=dict, description="Filter on scores.")
    b: dict[str, Any] = Field(default_factory=dict, description="Filter on scores.")
    groups: list[dict[str, Any]] = Field(
        default_factory=list, description="Filters, small to large."
    )
    sides: tuple[str, str] | None = Field(
        None,
        description="Both sides in words, a first, such as [long traces, random ones]: the page "
        "then says so instead of names of the catalogue.",
    )
    claim: str | None = Field(None, description="What is expected; if absent, nothing is claimed.")
    within: float | None = Field(
        None,
        gt=0,
        description="The claim is that the difference is smaller than this, in points, either way.",
    )
    tokens: Literal["longer", "fewer", "alike"] | None = Field(
        None,
        description="The claim is about lengths: the answers of a have at least twice the tokens "
        "of those of b, or fewer than these, or neither has twice those of the other.",
    )

    family: str = Field(
        "",
        description="Without a claim: name of the comparisons whose p values are corrected "
        "together (Holm); by default, all without a claim.",
    )

    @model_validator(mode="after")
    def _claims_one_thing(self) -> Self:
        if self.within is not None and self.tokens:
            raise ValueError(f"comparison {self.name}: give `within` or `tokens`, not both")
        if (self.within is not None or self.tokens) and self.claim is None:
            raise ValueError(
                f"comparison {self.name}: `within` and `tokens` say what is claimed: add a `claim`"
            )
        if self.family and self.claim is not None:
            raise ValueError(
                f"comparison {self.name}: claims are one family: leave out `family` or `claim`"
            )
        return self


class Claim(Strict):
    """A sentence that is judged by several comparisons together."""

    name: str = Field(description="Short name, such as C1.")
    text: str = Field(description="The sentence.")
    comparisons: tuple[str, ...] = Field(
        min_length=1, description="Names of the comparisons; all have to be supported."
    )


RunField = Literal["student", "subset", "format", "mode"]


class Published(Strict):
    """A row of a paper's table, shown next to our run that repeats it."""

    table: str = Field(pattern=f"^{NAME}$", description="Number of the table.")
    row: str = Field(description="Name of the row.")
    accuracy: dict[str, float] = Field(
        default_factory=dict, description="Per cent, by benchmark; leave out unknown ones."
    )
    tokens: dict[str, float] = Field(
        default_factory=dict, description="Mean tokens of an answer, by benchmark."
    )
    marks: dict[str, str] = Field(
        default_factory=dict, description="How sure each number is, by benchmark."
    )
    filter: dict[RunField, str] = Field(
        default_factory=dict,
        description="Filter for our run that repeats it; empty if there is none.",
    )
    note: str = Field("", description="What differs from our run.")

    @model_validator(mode="after")
    def _has_numbers(self) -> Self:
        if not self.accuracy and not self.tokens:
            raise ValueError("a published row needs a number: give `accuracy` or `tokens`")
        if unknown := set(self.marks) - set(self.accuracy) - set(self.tokens):
            raise ValueError(f"marks without a number: {', '.join(sorted(unknown))}")
        return self


class Report(Strict):
    """What the report shows in addition to the runs."""

    title: str = Field(description="Headline of the page.")
    notes: str = Field("", description="A paragraph under the title.")
    is_micro: bool = Field(
        False,
        description="The study is of the micro-world; the page warns about its numbers.",
    )
    comparisons: list[Comparison] = Field(default_factory=list)
    annotators: tuple[str, ...] = Field(
        (),
        description="Annotators to show in addition to those in use: all traces are labelled with "
        "them for the report alone.",
    )
    subsets: tuple[str, ...] = Field(
        (),
        description="Subsets to select and show in addition to those that runs train on; one for "
        "each seed of the runs, or of `seeds` where nothing is trained.",
    )
    claims: list[Claim] = Field(
        default_factory=list, description="Claims, each judged by one or more comparisons."
    )
    published: list[Published] = Field(
        default_factory=list, description="Numbers of a paper, shown next to ours."
    )
    training_sd: float | None = Field(
        None,
        ge=0,
        description="How much trainings of one recipe vary: the standard deviation, in points, of "
        "the mean accuracy of a comparison's benchmarks. Used where a side was trained once and "
        "this study's other runs tell it with fewer than 10 degrees of freedom.",
    )
    earlier: str | None = Field(
        None,
        description="Folder of an earlier report of this study, such as a copy of "
        "results/report/{study}: the page says what changed since.",
    )
    truth: str | None = Field(
        None,
        description="File of true differences, measured with many seeds (docs/truth.md), relative "
        "to this project: the page compares its verdicts with them.",
    )

    @model_validator(mode="after")
    def _parts_exist(self) -> Self:
        known = {each.name: each for each in self.comparisons}
        for claim in self.claims:
            for name in claim.comparisons:
                if name not in known or known[name].claim is None:
                    raise ValueError(
                        f"claims.{claim.name}: there is no comparison {name!r} with a `claim`; "
                        f"comparisons are {', '.join(sorted(known)) or 'none'}"
                    )
        return self
