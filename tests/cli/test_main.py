"""The command line as a whole: its options, its errors, and the modules that it loads and when."""

import ast
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import chargehand
from chargehand.cli.main import COMMANDS, main

pytestmark = pytest.mark.usefixtures("_clean_environment")


def run(*arguments):
    return CliRunner().invoke(main, arguments)


def test_the_version_is_the_packages():
    done = run("--version")
    assert (done.exit_code, done.stdout) == (0, f"chargehand, version {chargehand.__version__}\n")


COMMAND_WORDS = [
    ("serve",),
    ("check-config",),
    ("send",),
    ("tree",),
    ("charge-points",),
    ("quarantine",),
    ("quarantine", "list"),
    ("quarantine", "release"),
    ("recording",),
    ("replay",),
    ("simulate",),
]


@pytest.mark.parametrize("command", [(), *COMMAND_WORDS])
def test_every_command_explains_itself(command):
    done = run(*command, "-h")
    assert done.exit_code == 0
    assert "Usage:" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("serv",),
        ("serve", "--prot", "1"),
        ("serve", "--port", "many"),
        ("serve", "--transport", "carrier pigeon"),
        ("serve", "extra"),
        ("send", "CP1"),
        ("quarantine", "release"),
        ("simulate", "CP1", "--connector", "0"),
        ("simulate", "CP1", "--interval", "0"),
        ("simulate", "CP1", "--duration", "-1"),
    ],
)
def test_a_command_that_is_wrong_ends_with_status_two(arguments):
    assert run(*arguments).exit_code == 2


def test_check_config_shows_the_settings_without_secrets(tmp_path):
    (tmp_path / "c.toml").write_text(
        'port = 9100\n[http]\ntoken = "hush"\n[auth]\ncredentials = {CP1 = "pssst"}\n'
    )
    done = run("check-config", "--config", "c.toml")
    assert done.exit_code == 0
    shown = tomllib.loads(done.stdout)
    assert shown["port"] == 9100
    assert shown["http"] == shown["http"] | {"enabled": True, "token": "***"}
    assert shown["auth"]["credentials"] == {"CP1": "***"}


def test_check_config_tells_every_error_and_ends_with_status_two(tmp_path, monkeypatch):
    (tmp_path / "c.toml").write_text('prot = 1\n[log]\nlevel = "LOUD"\n')
    monkeypatch.setenv("CHARGEHAND_HTTP__PORT", "many")
    done = run("check-config", "--config", "c.toml")
    assert done.exit_code == 2
    assert done.stdout == ""
    for wanted in ("prot", 'did you mean "port"', "log.level", "CHARGEHAND_HTTP__PORT"):
        assert wanted in done.stderr
    assert len(done.stderr.splitlines()) == 5


@pytest.mark.parametrize(
    ("config", "wanted"),
    [('host = "0.0.0.0"', "--open"), ('[http]\nhost = "0.0.0.0"\nopen = true', "loopback")],
)
def test_check_config_refuses_what_serve_would_refuse(tmp_path, config, wanted):
    (tmp_path / "c.toml").write_text(config)
    done = run("check-config", "--config", "c.toml")
    assert done.exit_code == 2
    assert wanted in done.stderr


def test_the_file_may_be_named_by_the_environment(tmp_path, monkeypatch):
    (tmp_path / "c.toml").write_text("port = 9100\n")
    monkeypatch.setenv("CHARGEHAND_CONFIG", "c.toml")
    assert tomllib.loads(run("check-config").stdout)["port"] == 9100


@pytest.mark.parametrize("payload", ["{", "{'type': 'Soft'}"])
def test_call_refuses_a_payload_that_is_no_json_by_itself(payload):
    done = run("send", "CP1", "Reset", payload)
    assert done.exit_code == 1
    assert "not JSON" in done.stderr


# The commands that are loaded when they are used


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_listed_command_is_there_under_its_name(name):
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.hidden is not bool(COMMANDS[name][1])
    assert command.name == name


def test_a_command_that_is_not_there_is_none():
    assert main.get_command(click.Context(main), "call") is None


# What the command line loads before it patches: nothing that would have to be patched


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
    """Read the imports of the root by name, as a type checker does."""
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
