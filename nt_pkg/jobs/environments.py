"""Which environment a script runs in where neither conda nor a container makes one for it.

One environment may serve all. A kind that wants other versions has its own (docs/environments.md).
"""

import shlex
from collections.abc import Mapping
from pathlib import Path

# The rest is of the kind `workflow` and runs with the interpreter that runs Snakemake. Rules divide
# themselves in the same way with their `conda:` and `container:` lines.
SCRIPTS = {
    "training": ("convert_model", "pretrain_base", "build_examples", "train", "export_model"),
    "inference": ("generate_traces", "annotate", "annotate_questions", "sample_answers"),
}


def fixed(folder: Path) -> Path:
    """Return the folder that an environment's link names now, or a folder itself.

    Jobs of a study that runs keep it when envs/install.sh lets the link name a newer one. Links
    above it stay, because storage may have other names on other machines.
    """
    return folder.parent / folder.readlink() if folder.is_symlink() else folder


def own_folders(root: Path, variables: Mapping[str, str]) -> dict[str, Path]:
    """Return the environment of each kind that has its own.

    NT_ENV_TRAINING and NT_ENV_INFERENCE name it; an empty one says that there is none. Without
    them it is .venv-training or .venv-inference, where that was made.

    Args:
        root: the repository.
        variables: the process's environment.

    Raises:
        ValueError: no interpreter is where a variable says.
    """
    folders = {}
    for kind in SCRIPTS:
        name = f"NT_ENV_{kind.upper()}"
        folder = root / f".venv-{kind}"
        if name not in variables:
            if (folder / ".ready").exists():
                folders[kind] = fixed(folder)
        elif variables[name]:
            folder = Path(variables[name]).expanduser().absolute()
            if not (folder / "bin" / "python").exists():
                raise ValueError(
                    f"{name}: {folder}/bin/python does not exist; make it with "
                    f"envs/install.sh {kind} {folder}, or unset the variable"
                )
            folders[kind] = fixed(folder)
    return folders


def python_function(folders: Mapping[str, Path], is_warm: bool) -> str:
    """Return a shell function that stands for `python` in jobs, or nothing where none is needed.

    Args:
        folders: the environment of each kind that has its own.
        is_warm: whether the other scripts start in the launcher's forked interpreter.
    """
    if not folders and not is_warm:
        return ""
    cases = ""
    for kind, folder in folders.items():
        names = "|".join(f"scripts.{name}" for name in SCRIPTS[kind])
        folder_bin = shlex.quote(str(folder / "bin"))
        cases += f'{names}) PATH={folder_bin}:"$PATH" {folder_bin}/python "$@";; '
    other = 'command python "$@"'
    if is_warm:
        other = 'command python -I -S "$PYTHONPATH/nt_pkg/jobs/warm_interpreter.py" run "${@:2}"'
    return f'python() {{ case "${{2:-}}" in {cases}*) {other};; esac; }}; '
