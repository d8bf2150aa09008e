"""The command `plugins`, the settings of plugins in `check-config`, and commands of plugins."""

import json
import sys

import pytest
from click.testing import CliRunner

from chargehand.cli.main import main

pytestmark = pytest.mark.usefixtures("_clean_environment")

SHOP = '''
import click
from dataclasses import dataclass
from chargehand import Plugin, on, Booted, setting

@dataclass(frozen=True)
class Settings:
    city: str = setting("Ulm", "City.")
    secret: str = setting("", "Key.", secret=True)

class Shop(Plugin):
    settings_class = Settings
    def __init__(self, settings):
        super().__init__()
    @on(Booted)
    def booted(self, event): ...

@click.group()
def commands():
    """Sell things."""

@commands.command()
def sell():
    """Sell one thing."""
    click.echo("sold")

nothing = 5
'''


@pytest.fixture
def _shop(tmp_path, monkeypatch):
    """Install a package with a plugin and commands, of which two are broken."""
    info = tmp_path / "shop_of_tests-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shop-of-tests\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(
        "[chargehand.plugins]\nshop = shop_of_tests:Shop\n[chargehand.commands]\nshop = shop_of_tests:commands\n"
        "broken = shop_of_tests:missing\nnothing = shop_of_tests:nothing\n"
    )
    (tmp_path / "shop_of_tests.py").write_text(SHOP)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield
    sys.modules.pop("shop_of_tests", None)


def run(*arguments):
    return CliRunner().invoke(main, arguments)


@pytest.mark.usefixtures("_shop")
def test_the_commands_of_a_plugin_are_under_its_name():
    assert run("shop", "sell").stdout == "sold\n"
    listed = run("-h").stdout
    assert "Commands of plugins" in listed
    assert "Of shop-of-tests 1.2." in listed


@pytest.mark.usefixtures("_shop")
@pytest.mark.parametrize("name", ["broken", "nothing"])
def test_a_command_that_cannot_be_loaded_is_told(name):
    done = run(name)
    assert done.exit_code == 1
    assert f"the command {name} (shop_of_tests:" in done.stderr


@pytest.mark.usefixtures("_shop")
def test_check_config_prints_the_settings_of_a_plugin(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text('[plugins.shop]\nsecret = "s3cret"\n')
    done = run("check-config", "--config", str(file))
    assert done.exit_code == 0, done.stderr
    table = done.stdout.partition("[plugins.shop]\n")[2]
    assert 'city = "Ulm"' in table
    assert "s3cret" not in done.stdout


@pytest.mark.usefixtures("_shop")
def test_check_config_tells_the_faults_of_plugins(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text('[plugins.shop]\ncty = "Bonn"\n[plugins.shob]\n')
    done = run("check-config", "--config", str(file))
    assert done.exit_code == 2
    assert 'plugins.shop.cty: unknown; did you mean "city"?' in done.stderr
    assert 'plugins.shob: no plugin shob is installed; did you mean "shop"?' in done.stderr


@pytest.mark.usefixtures("_shop")
def test_plugins_are_listed_with_what_is_only_installed(stub):
    stub.body = {
        "plugins": [
            {
                "name": "Tags",
                "state": "running",
                "quarantined": True,
                "shadow": False,
                "version": "1",
                "class": "a:Tags",
                "settings": {"city": "Ulm"},
            }
        ]
    }
    done = run("plugins", "list", "--url", stub.url, "--json")
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert (rows["Tags"]["state"], rows["shop"]["state"]) == ("quarantined", "not loaded")
    assert rows["shop"]["version"] == "1.2"
    shown = run("plugins", "list", "--url", stub.url).stdout
    assert "quarantined" in shown
    assert '{"city": "Ulm"}' in shown


@pytest.mark.usefixtures("_shop")
def test_without_a_server_plugins_are_listed_as_installed(tmp_path):
    done = run("plugins", "list", "--data", str(tmp_path / "none"), "--url", "http://127.0.0.1:1", "--json")
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["shop"]["state"] == "no server"
    assert done.exit_code == 0
