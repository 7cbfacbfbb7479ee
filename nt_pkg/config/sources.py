"""Where files come from."""

from typing import Literal, Self

from pydantic import Field, model_validator

from nt_pkg.config.base import Strict


class Source(Strict):
    """Where files come from: exactly one of `path`, `hub` and `builtin`."""

    path: str | None = Field(None, description="File or folder on this machine.")
    hub: str | None = Field(None, description="Repository id on the Hugging Face hub.")
    revision: str | None = Field(
        None,
        pattern="^([0-9a-f]{7,12}|[0-9a-f]{40})$",
        description="Commit of the hub repository, in full or its first 7 to 12 digits; required "
        "with hub.",
    )
    hub_type: Literal["model", "dataset"] = Field("dataset", description="Kind of hub repository.")
    hub_files: tuple[str, ...] = Field(
        (), description="Glob patterns of files to fetch; empty: all."
    )
    expected_gb: float | None = Field(
        None, gt=0, description="Size of these files, for the plan; edits rerun nothing."
    )
    builtin: Literal["micro-base"] | None = Field(
        None, description="A model that ships with this package."
    )
    license: str | None = Field(
        None,
        description="Licence as the hub writes it, such as cc-by-4.0, for the cards of exported "
        "subsets; by default that of a fetched README.md.",
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [name for name in ("path", "hub", "builtin") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"a source needs exactly one of path, hub, builtin; it has "
                f"{', '.join(given) or 'none'}"
            )
        if self.hub is not None and self.revision is None:
            raise ValueError(
                f"source hub={self.hub!r} needs `revision`: the 40-digit commit, so that the study "
                "can be reproduced"
            )
        return self
