"""The version is a table: outside the versions' own folders nothing imports one or compares an action's name."""

import ast
import re

import pytest

from chargehand.protocol.versions import VERSIONS

from .test_floors import SOURCES

FREE = re.compile(r"protocol/v\d+/|protocol/versions\.py|plugins/|simulator/|__init__\.py")
ACTIONS = {name for version in VERSIONS.values() for name in version.actions}

# Files that still name one. The list only shrinks: a file reported as XPASS is to be taken off it.
OFFENDERS: set[str] = set()


def versions_named(source: str) -> list[str]:
    """List the versions and actions that a module names in code: imports, and actions compared or looked up."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.ImportFrom(module=module, names=names):
                path = [*(module or "").split("."), *(alias.name for alias in names)]
                found += [part for part in path if re.fullmatch(r"v\d+", part)]
            case ast.Compare(left=left, comparators=others):
                found += [name for part in (left, *others) for name in actions_in(part)]
            case ast.Subscript(slice=ast.Constant(value=str(name))) if name in ACTIONS:
                found.append(name)
            case ast.Dict(keys=keys):
                found += [name for key in keys if key is not None for name in actions_in(key)]
    return found


def actions_in(node: ast.AST) -> list[str]:
    return [part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and part.value in ACTIONS]


@pytest.mark.parametrize(
    "source",
    [
        "from ..protocol import v16",
        "from ..protocol.v16 import Reset",
        "if action.name == 'Reset': pass",
        "if action in ('Reset', 'ClearCache'): pass",
        "row = actions['Heartbeat']",
        "TABLE = {'Authorize': 1}",
    ],
)
def test_a_planted_version_is_seen(source):
    assert versions_named(source)


@pytest.mark.parametrize("source", ["from ..protocol.versions import VERSIONS", "'Reset'", "row.urgent"])
def test_what_names_no_version_is_not_seen(source):
    assert not versions_named(source)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=[pytest.mark.xfail(reason="still names a version", strict=False)]
            if name in OFFENDERS
            else [],
        )
        for name in SOURCES
        if not FREE.match(name)
    ],
)
def test_a_module_names_no_version_and_no_action(name):
    assert not versions_named(SOURCES[name])


def test_every_file_on_the_list_exists():
    assert set(SOURCES) >= OFFENDERS
