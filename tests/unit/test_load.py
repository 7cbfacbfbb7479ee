"""A study is read from its files in a stated order, and what is wrong with a file is named."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nt_pkg.config import load
from nt_pkg.config.load import read_study, study_files

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Return a function that writes a file below a folder; the base there is empty."""

    def write(name: str, text: str = "") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    monkeypatch.setattr(load, "BASE", write("base/config.yaml"))
    return write


def test_the_order_is_base_includes_file_and_command_line(write: Write) -> None:
    """Each place wins over those before it, and loses to those after it."""
    write("base/config.yaml", "a: base\nb: base\nc: base\nd: base\ne: base\n")
    write("included.yaml", "b: included\nc: included\nd: included\ne: included\n")
    first = write("first.yaml", "include: [included.yaml]\nc: first\nd: first\ne: first\n")
    second = write("second.yaml", "d: second\ne: second\n")

    found = read_study([first, second], ["e=command line"])

    assert found == {
        "a": "base",
        "b": "included",
        "c": "first",
        "d": "second",
        "e": "command line",
    }


def test_includes_are_read_depth_first_and_each_file_once(write: Write, tmp_path: Path) -> None:
    """Of two that include the same one, the second does not undo what the first changed of it."""
    write("common.yaml", "x: common\n")
    write("left.yaml", "include: [common.yaml]\nx: left\n")
    write("right.yaml", "include: [common.yaml]\n")
    top = write("top.yaml", "include: [left.yaml, right.yaml]\n")

    files = study_files([top, tmp_path / "common.yaml", top])

    assert [path.name for path in files] == [
        "config.yaml",
        "common.yaml",
        "left.yaml",
        "right.yaml",
        "top.yaml",
    ]
    assert read_study([top]) == {"x": "left"}


def test_paths_are_seen_from_the_file_that_names_them(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From whatever folder the study is started; an absolute path may stand there too."""
    write("project/config/pool.yaml", "pool: 1\n")
    write("project/config/more/nested.yaml", "include: [../pool.yaml]\nnested: 1\n")
    far = write("far/far.yaml", "far: 1\n")
    include = f"[../project/config/more/nested.yaml, {far}]"
    write("studies/mine.yaml", f"include: {include}\nmine: 1\n")
    monkeypatch.chdir(tmp_path / "far")

    assert read_study([Path("../studies/mine.yaml")]) == dict.fromkeys(
        ("pool", "nested", "far", "mine"), 1
    )


def test_a_link_to_a_file_is_that_file(write: Write, tmp_path: Path) -> None:
    write("config/part.yaml", "x: 1\n")
    (tmp_path / "config/link.yaml").symlink_to("part.yaml")
    top = write("config/top.yaml", "include: [part.yaml, link.yaml]\n")

    assert len(study_files([top])) == 3


def test_maps_merge_and_lists_and_nulls_replace(write: Write) -> None:
    files = [
        write("a.yaml", "m: {x: {a: 1, b: 2}}\nl: [1, 2]\nn: {k: 1}\nv: 1\n"),
        write("b.yaml", "m: {x: {b: 3}, y: 4}\nl: [3]\nn: null\nv: {w: 2}\n"),
        write("empty.yaml", "# nothing\n"),
    ]

    assert read_study(files) == {
        "m": {"x": {"a": 1, "b": 3}, "y": 4},
        "l": [3],
        "n": None,
        "v": {"w": 2},
    }


def test_an_overridden_alias_leaves_what_it_stands_for(write: Write) -> None:
    """An alias makes two entries one object; a later file changes the one that it names."""
    one = write("a.yaml", "x: &shared {deep: {k: 1}}\ny: *shared\nz: {<<: *shared}\n")
    other = write("b.yaml", "y: {deep: {k: 2}}\n")

    found = read_study([one, other])

    assert found == {"x": {"deep": {"k": 1}}, "y": {"deep": {"k": 2}}, "z": {"deep": {"k": 1}}}


@pytest.mark.parametrize(
    ("overrides", "found"),
    [
        (["study=mine"], {"study": "mine", "m": {"a": 1, "b": 2}}),
        (["m={a: 5}"], {"m": {"a": 5, "b": 2}}),
        (["m={'a': null, c: [x]}"], {"m": {"a": None, "b": 2, "c": ["x"]}}),
        (["m={a: true}", "m={b: 1.5}"], {"m": {"a": True, "b": 1.5}}),
        (["m="], {"m": None}),
        (["k=$a"], {"k": "$a", "m": {"a": 1, "b": 2}}),
        (["k=a=b"], {"k": "a=b", "m": {"a": 1, "b": 2}}),
    ],
)
def test_the_command_line_overrides_nested_keys(
    write: Write, overrides: list[str], found: dict[str, Any]
) -> None:
    """Its values are YAML, as in a file."""
    assert read_study([write("a.yaml", "m: {a: 1, b: 2}\n")], overrides) == found


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("study", "--config study: not key=value"),
        ("include=[x.yaml]", "give files with --configfile"),
        ("m={a", "--config m={a: the value is not valid YAML"),
        ("""m={a: 'x', b: "y"}""", "would not reach the jobs: write the key into a file"),
        ("m='$HOME'", "would not reach the jobs"),
        ("m=a\\b", "would not reach the jobs"),
        ("m=a\nb", "would not reach the jobs"),
    ],
)
def test_an_override_that_is_none_is_named(write: Write, override: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        read_study([write("a.yaml")], [override])


@pytest.mark.parametrize("text", ["a: [1", "- 1\n- 2\n", "just words", "a: *b\n", "a: \xff"])
def test_a_file_that_is_no_map_is_named(write: Write, text: str) -> None:
    """Of an anchor of another file too: each file is read by itself."""
    path = write("bad.yaml")
    path.write_bytes(text.encode("latin-1"))
    top = write("top.yaml", "b: &b 1\ninclude: [bad.yaml]\n")

    with pytest.raises(ValueError, match=r"bad\.yaml (is not valid YAML|must hold `key: value`)"):
        read_study([top])


def test_a_circle_is_named(write: Write, tmp_path: Path) -> None:
    a = write("a.yaml", "include: [sub/b.yaml]\n")
    write("sub/b.yaml", "include: [../a.yaml]\n")
    circle = [str(tmp_path / name) for name in ("a.yaml", "sub/b.yaml", "a.yaml")]

    with pytest.raises(ValueError, match=re.escape("circle: " + " -> ".join(circle))):
        read_study([a])
    with pytest.raises(ValueError, match=r"circle: \S*self\.yaml -> \S*self\.yaml$"):
        read_study([write("self.yaml", "include: [self.yaml]\n")])


def test_a_file_that_is_not_there_is_named_with_the_one_that_includes_it(
    write: Write, tmp_path: Path
) -> None:
    top = write("top.yaml", "include: [nowhere.yaml]\n")

    with pytest.raises(
        ValueError, match=rf"{tmp_path}/nowhere\.yaml, which {top} includes, does not exist"
    ):
        read_study([top])
    with pytest.raises(ValueError, match=r"file \S*/gone\.yaml does not exist"):
        read_study([tmp_path / "gone.yaml"])
    with pytest.raises(ValueError, match=r"includes, is a folder"):
        read_study([write("folder.yaml", "include: [base]\n")])


@pytest.mark.parametrize("value", ["other.yaml", "{other.yaml: 1}", "[[other.yaml]]", "['']", "3"])
def test_what_is_included_is_a_list_of_files(write: Write, value: str) -> None:
    write("other.yaml")

    with pytest.raises(ValueError, match=r"top\.yaml: `include` must be a list of files"):
        read_study([write("top.yaml", f"include: {value}\n")])


@pytest.mark.parametrize("value", ["", "[]"])
def test_nothing_may_be_included(write: Write, value: str) -> None:
    assert read_study([write("top.yaml", f"include: {value}\nx: 1\n")]) == {"x": 1}


def test_a_start_without_a_study_says_how_to_name_one() -> None:
    with pytest.raises(ValueError, match=r"no study is named: .* --configfile config/demo\.yaml"):
        read_study([], ["study=x"])


@pytest.mark.parametrize(
    "text",
    ["a: 1\nb: 2\na: 3\n", "top: {a: 1, b: 2, a: 1}\n", "top: [{a: 1, a: 2}]\n"],
)
def test_key_that_stands_twice_is_refused(write: Write, text: str) -> None:
    """YAML would keep the last one and lose the others without a word."""
    with pytest.raises(ValueError, match="`a` stands in lines"):
        read_study([write("study.yaml", text)])


def test_key_that_is_no_text_is_named(write: Write) -> None:
    with pytest.raises(ValueError, match="line 2: the key '1' must be a text"):
        read_study([write("study.yaml", "a: 1\n1: x\n")])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("0100", "0100 is a number to YAML, and not the one that it looks like"),
        ("1:30", "1:30 is a number to YAML"),
        ("0x1F", "0x1F is a number to YAML"),
        ("[yes]", "yes is a truth value to YAML: write true or false"),
        ("off", "off is a truth value"),
        (".nan", ".nan is no number to calculate with"),
        ("-.inf", "-.inf is no number to calculate with"),
        ("2024-01-01", "2024-01-01 is a date to YAML"),
        ("2024-02-31", "is not valid YAML: day is out of range"),
        ("[" * 5000, "is not valid YAML: it is nested too deeply"),
    ],
)
def test_value_that_is_not_what_it_looks_like_is_refused(
    write: Write, value: str, message: str
) -> None:
    """With the file, and the line where there is one; on the command line too."""
    path = write("study.yaml", f"a: 1\nb: {value}\n")
    with pytest.raises(ValueError, match=re.escape(message)) as refused:
        read_study([path])
    assert str(path) in str(refused.value)
    with pytest.raises(ValueError, match=re.escape(message)):
        read_study([write("empty.yaml")], [f"b={value}"])


def test_values_that_are_what_they_look_like(write: Write) -> None:
    text = "a: [0, -3, 1_000, 1.5, .5, 1., 1.0e-5, 1e-5, true, False, null, '0100', \"yes\", 1-2]"

    assert read_study([write("study.yaml", text)])["a"] == [
        *(0, -3, 1000, 1.5, 0.5, 1.0, 1e-5, "1e-5", True, False, None, "0100", "yes", "1-2")
    ]


def test_aliases_and_merged_maps_are_no_repetition(write: Write) -> None:
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\nc: [*a, *a]\n"

    assert read_study([write("study.yaml", text)])["b"] == {"x": 3, "y": 2}
