"""Reading the YAML files of a study, and the JSON schema that editors check them by."""

from pathlib import Path
from typing import Any

from nt_pkg.config.study import Study


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a study for editors."""
    return Study.model_json_schema()


def read_yaml(paths: list[Path]) -> dict[str, Any]:
    """Return YAML files merged as Snakemake does: maps merge, lists and values replace.

    Raises:
        ValueError: a file is not a YAML map.
    """
    import yaml

    merged: dict[str, Any] = {}
    for path in paths:
        try:
            found = yaml.safe_load(path.read_text()) or {}
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is not valid YAML: {error}") from error
        if not isinstance(found, dict):
            raise ValueError(f"{path} must hold `key: value` pairs, not a {type(found).__name__}")
        _merge(merged, found)
    return merged


def _merge(base: dict[str, Any], overlay: dict[str, Any]) -> None:
    for key, value in overlay.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        else:
            base[key] = value
