"""Checks of the study itself: its configuration, and files that nodes cannot fetch."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from nt_pkg.config.engines import Server
from nt_pkg.config.load import read_study
from nt_pkg.config.study import Study
from nt_pkg.files.json_files import read_json
from nt_pkg.plan.start import out_of_place
from nt_pkg.plan.study_plan import Plan
from nt_pkg.plan.validate import load_study
from nt_pkg.preflight.facts import Finding


def configuration(files: Sequence[Path]) -> tuple[Study | None, list[Finding]]:
    """Return the study and the errors of its configuration."""
    try:
        return load_study(read_study(files)), []
    except ValueError as error:
        what = f"edit {files[-1]}" if files else "add `configfile:` to the profile"
        todo = f"{what}; docs/config.md lists the keys"
        return None, [Finding("FAIL", "configuration", " ".join(str(error).split()), todo)]


def assets(
    study: Study, folder: Path, files: Sequence[Path], environment: Mapping[str, str]
) -> list[Finding]:
    """Judge whether the external files were fetched.

    Args:
        study: the checked study.
        folder: folder of the results.
        files: files of the study, for the command shown.
        environment: variables of this shell; HF_HUB_OFFLINE is looked at.

    Raises:
        ValueError: a path does not exist, or a commit must be filled in.
    """
    plan = Plan(study, folder / "work")
    if unknown := plan.missing_commits():
        raise ValueError("; ".join(unknown))
    missing, present, from_hub = [], 0, False
    for entry in plan.assets():
        source = plan.source(entry["kind"], entry["name"])
        assert source is not None
        spec = plan.asset_spec(**entry)
        from_hub = from_hub or source.hub is not None
        name = f"{entry['kind']}.{entry['name']}"
        manifest = folder / "assets" / entry["kind"] / entry["name"] / "manifest.json"
        if not manifest.exists():
            missing.append(name + (f" ({source.origin})" if source.is_remote else ""))
        elif source.is_remote and not _is_current(manifest, spec):
            missing.append(f"{name} (another revision was fetched)")
        else:
            present += 1
    found = [_offline_note(environment)] if from_hub else []
    if not missing:
        return [Finding("ok", "assets", f"all {present} are fetched"), *found]
    options = f" --configfile {shlex.join(map(str, files))}" if files else ""
    if folder != Path.cwd():
        options += f" --directory {shlex.quote(str(folder))}"
    command = f"snakemake --profile profiles/local{options} assets"
    todo = f"run here, where there is internet: {command}"
    if from_hub:
        todo += " (gated ones need HF_TOKEN or a login with `hf auth login`)"
    text = f"not fetched: {', '.join(missing)}; compute nodes need no internet once they are"
    return [Finding("warn", "assets", text, todo), *found]


def positions(study: Study, folder: Path) -> list[Finding]:
    """Judge whether examples fit into the context of the students, and can be packed."""
    lines = out_of_place(Plan(study, folder / "work"), folder)
    return [Finding("FAIL", "context", line) for line in lines]


def keys(study: Study, environment: Mapping[str, str]) -> list[Finding]:
    """Judge whether this shell has the keys of the servers in use."""
    found = []
    for name, server in _servers(study):
        if server is None or server.key_env is None:
            continue
        where = f"{server.key_env} for {name} ({server.base_url})"
        if environment.get(server.key_env, "").strip():
            found.append(Finding("ok", "keys", f"{where} is set"))
        else:
            todo = f"export {server.key_env} in the shell that starts snakemake"
            found.append(Finding("warn", "keys", f"{where} is not set", todo))
    return found


def _servers(study: Study) -> Iterator[tuple[str, Server | None]]:
    """Yield the servers of the teachers and annotators in use."""
    plan = Plan(study)
    sets = plan.trace_sets()
    for teacher in sorted({each["teacher"] for each in sets}):
        yield f"teachers.{teacher}", study.teachers[teacher].runtime.server
    for annotator in sorted({name for each in sets for name in plan.annotators(**each)}):
        yield f"annotators.{annotator}", study.annotators[annotator].runtime.server


def _offline_note(environment: Mapping[str, str]) -> Finding:
    if environment.get("HF_HUB_OFFLINE", "") not in ("", "0"):
        return Finding("ok", "offline", "HF_HUB_OFFLINE is set; fetching ignores it")
    return Finding(
        "warn",
        "offline",
        "HF_HUB_OFFLINE is not set: a job on a node without internet may wait for the hub",
        "export HF_HUB_OFFLINE=1 before snakemake (fetching assets ignores it)",
    )


def _is_current(manifest: Path, spec: str) -> bool:
    try:
        return bool(read_json(manifest)["spec"] == json.loads(spec))
    except (ValueError, KeyError, TypeError, OSError):
        return False
