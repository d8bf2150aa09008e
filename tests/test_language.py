"""Mechanical rules of the language: first words of docstrings, docstrings that say something, names of tests."""

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FIRST_WORDS = frozenset(
    {"What", "Whether", "It", "That", "Of", "Whoever", "How", "One", "Those", "Who", "Where", "Why", "When"}
)
POINTS_ELSEWHERE = re.compile(r"See ")
OTHER_FOLDERS = ("bench", "examples", "tests")
"""Folders besides the package whose docstrings are checked."""
NAME_CHARS = 80
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def docstrings(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of each docstring, those of attributes and constants among them."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, DOCUMENTED) and (text := ast.get_docstring(node)):
            yield getattr(node, "lineno", 1), text
        body = getattr(node, "body", [])
        for before, after in pairwise(body) if isinstance(body, list) else ():
            match before, after:
                case (
                    ast.Assign() | ast.AnnAssign(),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ):
                    yield after.lineno, text.strip()


def faults(source: str) -> list[str]:
    found = []
    for line, text in docstrings(source):
        first = re.match(r"[A-Za-z]+", text)
        if first is not None and first.group() in FIRST_WORDS:
            found.append(f"line {line}: begins with {first.group()}: {text.splitlines()[0]}")
        elif POINTS_ELSEWHERE.match(text):
            found.append(f"line {line}: points elsewhere instead of saying it: {text.splitlines()[0]}")
    return found


def sources() -> dict[str, str]:
    paths = [
        *ROOT.glob("*.py"),
        *(path for folder in ROOT.glob("*/__init__.py") for path in folder.parent.rglob("*.py")),
        *(
            path
            for name in OTHER_FOLDERS
            for path in (ROOT / name).rglob("*.py")
            if "build" not in path.parts
        ),
    ]
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in sorted(paths)}


SOURCES = sources()


@pytest.mark.parametrize(
    "source",
    [
        '"""What is kept."""',
        'class A:\n    """Of no use."""',
        'def f():\n    """Whether it is."""',
        'LIMIT = 5\n"""How many there are."""',
        'class A:\n    limit: int = 5\n    """It is a limit."""',
        'def f():\n    """See the head of this file."""',
        'def f():\n    """See `Store`."""',
    ],
)
def test_a_planted_docstring_is_seen(source):
    assert len(faults(source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        '"""Whatever the reader needs."""',
        'def f():\n    """Return the limit. See `Store` for the unit."""',
        'LIMIT = 5\n"""Largest number of rows."""\nprint("What else")',
    ],
)
def test_a_docstring_that_says_something_is_no_fault(source):
    assert faults(source) == []


@pytest.mark.parametrize("name", SOURCES)
def test_docstrings_begin_with_a_noun_or_a_verb(name):
    assert faults(SOURCES[name]) == []


def test_names_of_tests_are_no_longer_than_a_line():
    names = [
        (path.name, name)
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^ *def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert len(names) > 1000
    assert [(file, name) for file, name in names if len(name) > NAME_CHARS] == []
