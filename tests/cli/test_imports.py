"""What the command line loads before it patches: nothing that would have to be patched."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import chargehand

ROOT = Path(chargehand.__file__).parent


def modules_after(statement):
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_package_and_its_command_line_load_nothing_that_opens_sockets():
    loaded = modules_after("import chargehand.cli.main")
    assert "click" in loaded
    assert not loaded & {"gevent", "socket", "ssl", "select", "msgspec", "marshmallow", "falcon"}


def test_names_are_loaded_when_they_are_asked_for():
    loaded = modules_after("from chargehand import Settings")
    assert "chargehand.config.settings" in loaded
    assert "gevent" not in loaded


def imported_names():
    """What a type checker reads: the imports of the root, by name."""
    for node in ast.walk(ast.parse((ROOT / "__init__.py").read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            for alias in node.names:
                yield alias.name, f"chargehand.{node.module}"


@pytest.mark.parametrize(("name", "home"), list(imported_names()))
def test_a_name_of_the_root_is_what_a_type_checker_takes_it_for(name, home):
    module = import_module(home)
    wanted = getattr(module, name) if hasattr(module, name) else import_module(f"{home}.{name}")
    assert getattr(chargehand, name) is wanted


def test_the_root_offers_what_it_lists_and_nothing_else():
    assert {name for name, _ in imported_names()} == set(chargehand.__all__)
    assert set(chargehand._MODULES) == set(chargehand.__all__)
    assert set(chargehand.__all__) <= set(dir(chargehand))
    assert len(chargehand.__all__) == len(set(chargehand.__all__))
    with pytest.raises(AttributeError, match="Nothing"):
        chargehand.Nothing  # noqa: B018


def test_everything_can_be_imported_at_once():
    names = {}
    exec("from chargehand import *", names)
    assert set(chargehand.__all__) <= set(names)
