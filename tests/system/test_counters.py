"""The documentation lists every counter, and no other."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("actors", "admission", "plugins", "store", "supervisor", "system", "transport", "web", "remote")


def names_in(node: ast.expr) -> set[str]:
    """Return the possible first arguments of a `count`; `*` for parts that are filled in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return {node.value}
    if isinstance(node, ast.JoinedStr):
        return {"".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in node.values)}
    if isinstance(node, ast.IfExp):
        return names_in(node.body) | names_in(node.orelse)
    raise AssertionError(f"line {node.lineno}: what is counted cannot be read off it")


def counted_in(source: str) -> set[str]:
    """Return the names that a source counts: `count` with a name and a charge point."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and len(node.args) == 2 and isinstance(node.func, ast.Attribute):
            found |= names_in(node.args[0]) if node.func.attr in ("count", "_count") else set()
    return found


def counted() -> set[str]:
    """Return all names in the package."""
    paths = [*ROOT.glob("*.py"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))]
    return set().union(*(counted_in(path.read_text(encoding="utf-8")) for path in paths))


def documented() -> set[str]:
    """Return the names in the first column of the table, `*` for parts in angle brackets."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").partition("\n## Counted\n")[2]
    rows = re.findall(r"^\| (`.*?) \|", text.partition("\n## ")[0], re.MULTILINE)
    names = [re.sub(r"<\w+>", "*", name) for row in rows for name in re.findall(r"`([^`]+)`", row)]
    assert len(names) == len(set(names)), "one is there twice"
    return set(names)


def fits(name: str, pattern: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", r".+"), name) is not None


def test_every_counter_is_documented() -> None:
    known = documented()
    assert {name for name in counted() if not any(fits(name, pattern) for pattern in known)} == set()


def test_every_counter_that_is_documented_exists() -> None:
    exist = counted()
    assert len(exist) > 20
    assert documented() - exist == set()


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ('self.observer.count("a", cp)', {"a"}),
        ('o.count(f"ticket_{state}", cp)', {"ticket_*"}),
        ('o.count("a" if same else "b", cp)', {"a", "b"}),
        ('text.count("a") + itertools.count(1).x + count("a", 1)', set()),
    ],
)
def test_the_names_are_read_off_the_source(source: str, names: set[str]) -> None:
    assert counted_in(source) == names


def test_a_name_that_cannot_be_read_off_is_found() -> None:
    with pytest.raises(AssertionError):
        counted_in("o.count(name, cp)")
