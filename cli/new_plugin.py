"""The command `new-plugin`: a package for a plugin, with settings, a command, tests, types and CI, which all pass."""

from __future__ import annotations

import re
from pathlib import Path

import click

from .. import __version__
from ..system.plugin_packages import installed_plugins
from .failures import CommandFailed
from .main import COMMANDS

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")

PROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "chargehand-@name@"
version = "0.1.0"
description = "A plugin of chargehand, the OCPP central system"
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["chargehand>=@version@,<1"]

[project.optional-dependencies]
dev = ["mypy>=1.15", "pytest>=8", "ruff>=0.11"]

[project.entry-points."chargehand.plugins"]
@name@ = "@module@:@class@"

[project.entry-points."chargehand.commands"]
@name@ = "@module@.commands:commands"

[tool.setuptools.packages.find]
where = ["src"]

[tool.setuptools.package-data]
@module@ = ["py.typed"]

[tool.pytest.ini_options]
testpaths = ["tests"]
pythonpath = ["src"]

[tool.mypy]
files = ["src", "tests"]
mypy_path = ["src"]
strict = true

[tool.ruff]
line-length = 110
target-version = "py311"

[tool.ruff.lint]
select = ["A", "B", "E", "F", "I", "N", "RUF", "SIM", "UP", "W"]
"""

README = """\
# chargehand-@name@

A plugin of [chargehand](https://pypi.org/project/chargehand/), the OCPP central system. It adds up the energy that
each tag has charged.

## Use

```console
$ pip install chargehand-@name@
```

In the settings of the server:

```toml
[plugins.@name@]
unit = "kWh"
```

```console
$ chargehand check-config --config settings.toml
$ chargehand serve --config settings.toml
$ chargehand plugins list
$ chargehand @name@ totals
```

The same over HTTP: `GET /api/v1/plugins/@name@/totals`.

| setting | default | meaning |
|---|---|---|
| `unit` | `"kWh"` | Unit of the totals: `"Wh"` or `"kWh"` |

The totals end with the process: what is to last goes into a database, in one transaction with the id of the last
event of its charge point.

## Work on it

```console
$ python -m venv .venv
$ .venv/bin/pip install -e '.[dev]'
$ .venv/bin/pytest
$ .venv/bin/mypy
$ .venv/bin/ruff check .
```
"""

CI = """\
name: CI
on: [push, pull_request]
jobs:
  test:
    runs-on: ubuntu-latest
    strategy:
      matrix:
        python: ["3.11", "3.13"]
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: ${{ matrix.python }}
      - run: pip install -e '.[dev]'
      - run: ruff check .
      - run: ruff format --check .
      - run: mypy
      - run: pytest
"""

PLUGIN = '''\
"""A plugin of chargehand: adds up the energy that each tag has charged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from chargehand import Plugin, ResourceRequest, TransactionEnded, on, resource, setting


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of the plugin: `[plugins.@name@]`."""

    unit: Literal["Wh", "kWh"] = setting("kWh", "Unit of the totals.")


class @class@(Plugin):
    """Adds up the energy that each tag has charged."""

    settings_class = Settings

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._factor = 1000.0 if settings.unit == "kWh" else 1.0
        self._totals_wh: dict[str, float] = {}
        self._last: dict[str, str] = {}

    @on(TransactionEnded)
    def ended(self, event: TransactionEnded) -> None:
        """Add the energy of a transaction. An event may come twice, with the same id."""
        if self._last.get(event.charge_point_id) == event.id:
            return
        self._last[event.charge_point_id] = event.id
        tag, energy_wh = event.transaction.id_tag, event.transaction.energy_wh or 0.0
        self._totals_wh[tag] = self._totals_wh.get(tag, 0.0) + energy_wh

    @resource("GET", "totals")
    def totals(self, _request: ResourceRequest) -> dict[str, float]:
        """Answer with the energy of each tag, in the unit of the settings."""
        return {tag: energy_wh / self._factor for tag, energy_wh in self._totals_wh.items()}
'''

COMMAND = '''\
"""Commands of the plugin: `chargehand @name@ …`."""

from __future__ import annotations

import click
from chargehand import Api, asks_server


@click.group()
def commands() -> None:
    """Show what tags have charged."""


@commands.command()
@asks_server
def totals(api: Api) -> None:
    """Print the energy of each tag."""
    for tag, energy in sorted(api.get("plugins", "@name@", "totals").items()):
        click.echo(f"{tag}  {energy:g}")
'''

TESTS = '''\
"""The plugin on a stage: an hour of charging takes milliseconds."""

from __future__ import annotations

import pytest
from chargehand.testing import Stage

from @module@ import @class@, Settings


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
def test_the_energy_of_a_tag_is_added_up(version: str) -> None:
    spec = @class@.spec(Settings(unit="Wh"), name="@name@")
    with Stage(spec, bundled=True) as stage:
        charge_point = stage.simulate("CP1", version=version)
        for _ in range(2):
            charge_point.plug_in()
            charge_point.start("T1")
            stage.advance(3600)
            charge_point.stop()
            charge_point.unplug()
            stage.settle()
        totals = stage.request("@name@", "GET", "totals")
        assert list(totals) == ["T1"]
        assert 20_000 < totals["T1"] < 24_000


def test_nothing_was_charged_yet() -> None:
    with Stage(@class@.spec(Settings(), name="@name@"), bundled=True) as stage:
        assert stage.request("@name@", "GET", "totals") == {}
'''

IGNORED = "__pycache__/\n*.egg-info/\n.venv/\n.mypy_cache/\n.pytest_cache/\n.ruff_cache/\nbuild/\ndist/\n"

FILES = {
    "pyproject.toml": PROJECT,
    "README.md": README,
    ".gitignore": IGNORED,
    ".github/workflows/ci.yml": CI,
    "src/@module@/__init__.py": PLUGIN,
    "src/@module@/commands.py": COMMAND,
    "src/@module@/py.typed": "",
    "tests/test_plugin.py": TESTS,
}
"""Files of a new package; words between @ are replaced."""


def make_package(name: str, folder: Path) -> list[Path]:
    """Write a package for a plugin into a new folder; return the files. Raises `CommandFailed`."""
    if not NAME.fullmatch(name):
        raise CommandFailed(
            f"{name} is not a name for a plugin", "use small letters, digits and dashes, as in night-tariff"
        )
    if name in COMMANDS:
        raise CommandFailed(f"{name} is a command of chargehand", "choose another name")
    if name in installed_plugins():
        raise CommandFailed(f"a plugin {name} is installed already", "choose another name")
    if folder.exists():
        raise CommandFailed(f"{folder} is there already", "name another one with --folder")
    words = {
        "@name@": name,
        "@module@": f"chargehand_{name.replace('-', '_')}",
        "@class@": "".join(word.capitalize() for word in name.split("-")),
        "@version@": __version__,
    }
    made = []
    try:
        for path, text in FILES.items():
            file = folder / _filled(path, words)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(_filled(text, words), encoding="utf-8")
            made.append(file)
    except OSError as error:
        raise CommandFailed(
            f"{error.filename}: {error.strerror}", "name a folder that can be made, with --folder"
        ) from error
    return made


def _filled(text: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(word, value)
    return text


@click.command()
@click.argument("name")
@click.option("--folder", type=click.Path(path_type=Path), help="New folder; default: chargehand-NAME, here.")
def new_plugin(name: str, folder: Path | None) -> None:
    """Make a package for a plugin NAME, with settings, a command, tests, types and CI."""
    folder = folder or Path(f"chargehand-{name}")
    for file in make_package(name, folder):
        click.echo(file)
