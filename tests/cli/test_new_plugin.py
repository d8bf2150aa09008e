"""The package that `new-plugin` makes passes its own tests, type checks and style, and runs when it is installed."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from chargehand.cli.main import main

pytestmark = pytest.mark.usefixtures("_clean_environment")

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]


def run(*arguments):
    return CliRunner().invoke(main, arguments)


def passes(*command, folder, **environment):
    done = subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("new") / "a package"
    done = CliRunner().invoke(main, ["new-plugin", "night-tariff", "--folder", str(folder)])
    assert done.exit_code == 0, done.output
    return folder


def test_its_tests_pass_and_its_style_is_clean(package):
    told = passes(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", folder=package)
    assert "3 passed" in told
    passes(BIN / "ruff", "check", "--no-cache", ".", folder=package)
    passes(BIN / "ruff", "format", "--no-cache", "--check", ".", folder=package)


@pytest.mark.slow
def test_its_types_are_strict(package):
    # The cache of the project, which has read chargehand already if it was checked before; of an installed chargehand
    # no fault would be told, so none is of this one.
    options = ("--cache-dir", str(ROOT / ".mypy_cache"), "--follow-imports=silent")
    passes(sys.executable, "-m", "mypy", *options, folder=package, MYPYPATH=str(ROOT / ".venv" / "src"))


@pytest.mark.slow
def test_installed_it_is_found_configured_and_served(package, tmp_path, serve_process, monkeypatch):
    site = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    passes(*command, "--disable-pip-version-check", "--target", str(site), str(package), folder=tmp_path)
    path = {"PYTHONPATH": str(site)}
    (tmp_path / "s.toml").write_text('[plugins.night-tariff]\nunti = "kWh"\n')
    command = [sys.executable, "-m", "chargehand"]
    done = subprocess.run(
        [*command, "check-config", "--config", "s.toml"],
        cwd=tmp_path, env=os.environ | path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert 'plugins.night-tariff.unti: unknown; did you mean "unit"?' in done.stderr
    monkeypatch.setenv("PYTHONPATH", str(site))
    running = serve_process("--http-open", config='[plugins.night-tariff]\nunit = "Wh"\n')
    running.ready()
    rows = json.loads(passes(*command, "plugins", "list", "--json", "--data", running.data, folder=tmp_path))
    (row,) = [row for row in rows if row["name"] == "night-tariff"]
    assert (row["state"], row["version"], row["settings"]) == ("running", "0.1.0", {"unit": "Wh"})
    assert passes(*command, "night-tariff", "totals", "--data", running.data, folder=tmp_path) == ""


def test_its_project_names_the_plugin_and_its_commands(package):
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    assert project["name"] == "chargehand-night-tariff"
    assert project["entry-points"] == {
        "chargehand.plugins": {"night-tariff": "chargehand_night_tariff:NightTariff"},
        "chargehand.commands": {"night-tariff": "chargehand_night_tariff.commands:commands"},
    }
    assert not [file for file in package.rglob("*") if file.is_file() and "@" in file.name]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("Night",), "is not a name"),
        (("1st",), "is not a name"),
        (("serve",), "is a command of chargehand"),
        (("night", "--folder", "."), "is there already"),
    ],
)
def test_what_cannot_be_made_is_told(arguments, why):
    done = run("new-plugin", *arguments)
    assert done.exit_code == 1
    assert why in done.stderr


def test_without_a_folder_it_is_made_here():
    assert run("new-plugin", "shop").exit_code == 0
    assert Path("chargehand-shop/src/chargehand_shop/__init__.py").is_file()
