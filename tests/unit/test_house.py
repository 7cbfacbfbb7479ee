"""What import-linter cannot see: names of files and commands of Slurm outside their rooms."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "nt_pkg"
MODULES = sorted(PACKAGE.rglob("*.py"))
# Libraries whose import takes long enough to wait for it until it is needed.
HEAVY = {
    *("torch", "transformers", "deepspeed", "vllm", "scipy", "matplotlib", "sklearn", "pandas"),
    *("tokenizers", "safetensors", "huggingface_hub", "math_verify", "sympy", "httpx2", "datasets"),
}


def room(path: Path) -> str:
    """Return the room of a module, such as `sft`."""
    return path.relative_to(PACKAGE).parts[0]


def texts(path: Path) -> Iterator[str]:
    """Yield the string constants of a module that are no docstrings."""
    tree = ast.parse(path.read_text())
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node.value


def test_root_holds_rooms_only() -> None:
    found = {path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"}
    modules = {name for name in found if name.endswith(".py")}
    assert modules == {"__init__.py"}
    assert all((PACKAGE / name / "__init__.py").exists() for name in found - modules)


def test_every_room_says_what_it_is_about() -> None:
    for path in PACKAGE.rglob("__init__.py"):
        assert ast.get_docstring(ast.parse(path.read_text())), path


@pytest.mark.parametrize(
    ("words", "rooms"),
    [
        (("sbatch", "srun", "squeue", "scancel", "sacct", "sinfo"), {"slurm", "preflight"}),
        (("results/", "results"), {"files"}),
    ],
    ids=["slurm", "results"],
)
def test_words_stay_in_their_rooms(words: tuple[str, ...], rooms: set[str]) -> None:
    """A command starts a text or is one; a path of results begins with that folder."""
    found = [
        f"{path.relative_to(PACKAGE)}: {text}"
        for path in MODULES
        if room(path) not in rooms
        for text in texts(path)
        if text in words or any(text.startswith(word) for word in words if word.endswith("/"))
    ]
    assert not found


def test_imports_inside_functions_wait_for_something_heavy() -> None:
    """They save start-up time; one that hides a circle is a defect of the plan of the house."""
    found = []
    for path in MODULES:
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for node in ast.walk(function):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("nt_pkg"):
                    source = PACKAGE.parent.joinpath(*node.module.split(".")).with_suffix(".py")
                    if not heavy_imports(source):
                        found.append(f"{path.relative_to(PACKAGE)}: {node.module}")
    assert not found


def heavy_imports(path: Path) -> set[str]:
    """Return the heavy libraries that a module imports when it is loaded."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    return names & HEAVY
