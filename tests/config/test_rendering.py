"""The example file, the documentation and the print at the start agree with the declarations."""

import re
import tomllib
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import pytest

from chargehand.config.load import PROGRAM_DEFAULTS, load
from chargehand.config.rendering import example, redacted, tables, toml, without_password
from chargehand.config.schema import read
from chargehand.config.sessions import AuthSettings
from chargehand.config.settings import HttpSettings, PluginSettings, Settings

EXAMPLE = Path(str(resources.files("chargehand.config"))) / "example.toml"
DOCS = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_example_file_is_current():
    assert EXAMPLE.read_text(encoding="utf-8") == example(), "make settings"


def test_the_table_of_settings_is_current():
    assert DOCS.read_text(encoding="utf-8") == tables(), "make settings"


def test_the_example_file_loads_as_it_is():
    assert load(EXAMPLE, environ={}) == Settings()


def test_the_example_file_without_its_comment_signs_gives_the_programs_defaults():
    text = re.sub(r"(?m)^#(?=\w+ = )", "", example())
    assert len(text) < len(example())
    assert read(tomllib.loads(text))[0] == load(environ={}, program_defaults=PROGRAM_DEFAULTS)


def test_every_example_of_a_value_is_a_good_one():
    lines = [*re.findall(r"(?m)^\[(\w+)\]|^# Example: (.*)$", example())]
    section, found = "", 0
    for name, assignment in lines:
        section = name or section
        if assignment:
            data = tomllib.loads(f"[{section}]\n{assignment}" if section else assignment)
            assert read(data)[1] == []
            found += 1
    assert found >= 5


def test_settings_are_printed_as_toml():
    settings = Settings(port=1, plugins=(PluginSettings(class_name="a:B", arguments={"n": [1, None]}),))
    assert tomllib.loads(redacted(settings))["port"] == 1


def test_settings_without_secrets_are_printed_as_they_are():
    settings = Settings(host="::1", plugins=(PluginSettings(class_name="a:B", arguments={"n": {"x": "y"}}),))
    assert read(tomllib.loads(redacted(settings)))[0] == settings


def test_no_secret_is_printed():
    arguments = {
        "dsn": "s3cret1",
        "sub": [{"api_key": "s3cret2"}],
        "passwords": ["s3cret3"],
        "keyboard": "shown",
    }
    settings = Settings(
        auth=AuthSettings(credentials={"CP1": "s3cret4"}),
        http=HttpSettings(token="s3cret5"),
        plugins=(PluginSettings(class_name="a:B", arguments=arguments),),
    )
    text = redacted(settings)
    assert "s3cret" not in text
    assert text.count('"***"') == 5
    assert "CP1" in text


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite", "sqlite"),
        ("postgresql://me@db:5432/x?sslmode=require", "postgresql://me@db:5432/x?sslmode=require"),
        ("postgresql://me:s3cret@db/x", "postgresql://me:***@db/x"),
        ("postgresql://me:s3cr@t/s3cret@db/x", "postgresql://me:***@db/x"),
        ("postgresql://:s3cret@db/x", "postgresql://:***@db/x"),
        (
            "postgres://db/x?user=me&password=s3cret&sslpassword=s3cret",
            "postgres://db/x?user=me&password=***&sslpassword=***",
        ),
    ],
)
def test_a_url_is_printed_without_its_password(url, shown):
    settings = Settings(store=url)
    assert tomllib.loads(redacted(settings))["store"] == without_password(url) == shown
    assert "s3cret" not in repr(settings)


def test_a_secret_that_is_not_set_is_printed_as_not_set():
    assert tomllib.loads(redacted(Settings()))["http"]["token"] == ""


@pytest.mark.parametrize(
    "value",
    [
        True,
        7,
        0.5,
        1e300,
        'quote " and \\ and \n and \x7f and ä',
        datetime(2030, 1, 1, 12, tzinfo=UTC),
        ["a", [1]],
        {"plain": 1, "with.dot": {"": "empty"}, "ä": []},
    ],
)
def test_a_value_written_as_toml_reads_the_same(value):
    assert tomllib.loads(f"x = {toml(value)}")["x"] == value
