"""What import-linter cannot see: names of files and commands of Slurm outside their rooms."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "nt_pkg"
MODULES = sorted(PACKAGE.rglob("*.py"))
# Libraries whose import takes long enough to wait for it until it is needed.
HEAVY = {
    *(
        "numpy",
        "torch",
        "transformers",
        "deepspeed",
        "vllm",
        "scipy",
        "matplotlib",
        "sklearn",
        "pandas",
    ),
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
        ((r"(\S*/)?results(/\S*)?",), {"files"}),
        # A file that is not as we write it may be one that only its user has. (Of a profile, the
        # preflight names lines to delete.)
        ((r"(?s:.*)\b(?i:delete|erase|rm -\w+)\b(?s:.*)",), {"preflight"}),
    ],
    ids=["slurm", "results", "delete"],
)
def test_words_stay_in_their_rooms(words: tuple[str, ...], rooms: set[str]) -> None:
    """A command is a text of its own; a path of results may have more before and behind it."""
    pattern = re.compile("|".join(words))
    found = [
        f"{path.relative_to(PACKAGE)}: {text}"
        for path in MODULES
        if room(path) not in rooms
        for text in texts(path)
        if pattern.fullmatch(text)
    ]
    assert not found


def test_texts_become_tokens_in_one_place() -> None:
    """There, text that spells a control token stays text; the micro-world reads its own stories."""
    found = [
        f"{path.relative_to(PACKAGE)}: {name}"
        for path in MODULES
        if room(path) not in {"dialogue", "microworld"}
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and re.search(
            r"(?:^|_)tokenizer$|apply_chat_template|encode_plus|encode_batch|convert_tokens_to_ids",
            name := getattr(node.func, "id", "") or getattr(node.func, "attr", ""),
        )
    ]
    assert not found


def calls(name: str) -> Iterator[tuple[str, ast.Call]]:
    """Yield the calls of a function or method in the code of jobs, each with its place."""
    for path in [*MODULES, *sorted((PACKAGE.parent / "scripts").glob("*.py"))]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and re.fullmatch(name, ast.unparse(node.func)):
                yield f"{path.relative_to(PACKAGE.parent)}:{node.lineno}", node


def test_no_folder_of_a_model_runs_its_code() -> None:
    """Silence would let transformers ask, and `yes |` answer."""
    found = dict(calls(r"Auto\w+\.from_\w+|vllm\.LLM"))
    assert len(found) > 8
    said = {
        place: [
            ast.unparse(each.value) for each in call.keywords if each.arg == "trust_remote_code"
        ]
        for place, call in found.items()
    }
    assert {place for place, value in said.items() if value != ["False"]} == set()


def test_no_checkpoint_runs_its_code() -> None:
    found = dict(calls(r"torch\.load"))
    unsafe = {
        place for place, call in found.items() if "weights_only=True" not in ast.unparse(call)
    }
    assert found and not unsafe


def test_words_of_others_are_printed_in_one_place() -> None:
    """`say` takes secrets and what a terminal obeys out of them; the others write texts of ours."""
    ours = {"files/foreign_text.py", "jobs/progress.py", "jobs/warm_interpreter.py",
            "snakemake_io/progress_view.py", "snakemake_io/arguments.py", "preflight/probe.py",
            "preflight/gpus.py", "sft/launch.py"}  # fmt: skip
    found = {place.partition(":")[0] for place, _ in calls(r"print|sys\.std(out|err)\.write")}
    assert found <= {f"nt_pkg/{name}" for name in ours}


def test_every_script_ends_with_what_a_user_can_mend() -> None:
    for path in (PACKAGE.parent / "scripts").glob("*.py"):
        text = path.read_text()
        assert ("__main__" in text) == text.endswith("    sys.exit(run_command(main))\n"), path


def test_imports_inside_functions_wait_for_something_heavy() -> None:
    """They save start-up time; one that hides a circle is a defect of the plan of the house."""
    found = []
    for path in MODULES:
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for name in imports_of_ours(function, path):
                if not heavy_imports(name):
                    found.append(f"{path.relative_to(PACKAGE)}: {name}")
    assert not found


def imports_of_ours(tree: ast.AST, path: Path) -> Iterator[str]:
    """Yield the dotted names of modules of ours that code imports, however it says so."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = path.relative_to(PACKAGE.parent).parts[: -node.level or None]
            base = ".".join([*(parents if node.level else ()), *filter(None, [node.module])])
            inner = [f"{base}.{alias.name}" for alias in node.names]
            names = [name if source(name) else base for name in inner]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == PACKAGE.name)


def source(name: str) -> Path | None:
    """Return the file of a module or package of ours."""
    place = PACKAGE.parent.joinpath(*name.split("."))
    files = (place.with_suffix(".py"), place / "__init__.py")
    return next((file for file in files if file.is_file()), None)


def heavy_imports(name: str) -> set[str]:
    """Return the heavy libraries that a module imports when it is loaded."""
    file = source(name)
    assert file is not None, name
    names = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    return names & HEAVY


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("from nt_pkg.plan import study_plan", ["nt_pkg.plan.study_plan"]),
        ("from nt_pkg.plan.study_plan import Plan", ["nt_pkg.plan.study_plan"]),
        ("import nt_pkg.files.layout", ["nt_pkg.files.layout"]),
        ("from .train import Job", ["nt_pkg.sft.train"]),
        ("from ..files import layout", ["nt_pkg.files.layout"]),
        ("import json", []),
    ],
)
def test_every_form_of_an_import_is_seen(line: str, names: list[str]) -> None:
    assert list(imports_of_ours(ast.parse(line), PACKAGE / "sft" / "launch.py")) == names
