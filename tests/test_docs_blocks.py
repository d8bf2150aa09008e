"""Blocks of the documentation: settings are read, commands are taken by the command line, paths are in the API.

Those of Python are in test_typing.py, test_examples.py, testing/test_page.py and integration/test_tutorial.py.
"""

import json
import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest
import yaml

from chargehand.cli.main import main
from chargehand.config.load import load
from chargehand.system.plugin_packages import check_plugins

from .web.described import described

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)?([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LANGUAGES = {"", "console", "http", "json", "python", "text", "toml", "yaml"}
BLOCKS = [
    (f"{page.relative_to(ROOT)}:{number}", *found)
    for page in PAGES
    for number, found in enumerate(BLOCK.findall(page.read_text(encoding="utf-8")), 1)
]
PATHS = list(described()["paths"].items())
OPERATORS = {"|", "||", "&&", ";", "&", ">", ">>", "(", ")", "<"}


NOT_INSTALLED = {"shop", "ledger"}
"""Plugins of packages that a page makes, whose own settings nothing can check."""


def blocks(language):
    return [pytest.param(text, id=place) for place, name, _, text in BLOCKS if name == language]


def test_every_block_is_of_a_kind_that_is_checked():
    """A block without a name is output, or a file of another program."""
    assert [place for place, name, _, _ in BLOCKS if name not in LANGUAGES] == []
    unnamed = [text for _, name, _, text in BLOCKS if not name]
    assert [text for text in unnamed if text.startswith(("$ ", "chargehand "))] == []


@pytest.mark.parametrize("text", blocks("toml"))
def test_a_block_of_toml_is_settings_that_are_right(text, tmp_path):
    if "project" in tomllib.loads(text):  # of a package
        return
    (tmp_path / "s.toml").write_text(text)
    plugins = load(tmp_path / "s.toml", environ={}).plugins
    check_plugins([one for one in plugins if one.class_name not in NOT_INSTALLED])


@pytest.mark.parametrize("text", blocks("json"))
def test_a_block_of_json_can_be_read(text):
    for one in re.split(r"^(?={)", text, flags=re.MULTILINE):
        if one:
            json.loads(one)


@pytest.mark.parametrize("text", blocks("yaml"))
def test_a_block_of_yaml_can_be_read(text):
    yaml.safe_load(text)


def simple_commands(text):
    """Return the commands of a block as lists of words, without what follows them in a pipe."""
    joined = text.replace("\\\n", " ")
    for line in re.findall(r"^\$ (.*)$", joined, re.MULTILINE):
        inner = re.sub(r"\$\((?:[^()]|\([^()]*\))*\)", "X", line)
        words = shlex.shlex(inner, posix=True, punctuation_chars=True)
        words.whitespace_split = True
        words.commenters = "#"
        command = []
        for word in words:
            if word in OPERATORS:
                yield command
                command = []
            else:
                command.append(word)
        yield command


def check_arguments(words):
    """Raise a `click.UsageError` if a command of `chargehand` does not take these words."""
    command, context = main, click.Context(main, info_name="chargehand")
    while isinstance(command, click.Group):
        command.parse_args(context, list(words))  # those that list by themselves put their command in front
        words = [*context._protected_args, *context.args]
        if not words:
            return
        _, found, words = command.resolve_command(context, words)
        command, context = found, click.Context(found, info_name=found.name, parent=context)
    values, rest, _ = command.make_parser(context).parse_args(list(words))
    if rest:
        raise click.UsageError(f"too many arguments: {rest}")
    missing = [
        one.name
        for one in command.params
        if isinstance(one, click.Argument) and one.required and not values.get(one.name)
    ]
    if missing and not {"--help", "-h"} & set(words):
        raise click.UsageError(f"missing: {missing}")


def called(text):
    """Return methods and paths of the calls of curl in a block, without their queries."""
    for words in simple_commands(text):
        if words[:1] == ["curl"]:
            method = words[words.index("-X") + 1] if "-X" in words else "GET"
            for word in words:
                found = re.match(r"https?://[^/]+(/[^?#]*)", word)
                if found:
                    yield method.lower(), found[1]


OF_PLUGINS = {"ledger", "tariffs", "night-tariff"}
"""Commands of packages that a page makes."""


@pytest.mark.parametrize("text", blocks("console"))
def test_the_command_line_takes_the_commands_of_a_block(text):
    for words in simple_commands(text):
        names = [Path(word).name for word in words]
        at = next((at for at, name in enumerate(names[:4]) if name == "chargehand"), None)
        if at is None or (at and names[at - 1] not in {"exec", "sudo", "chargehand"}):
            continue
        if words[at + 1 : at + 2] and words[at + 1] not in OF_PLUGINS:
            check_arguments(words[at + 1 :])


def test_the_pages_show_commands():
    shown = [words for _, name, _, text in BLOCKS if name == "console" for words in simple_commands(text)]
    assert {words[1] for words in shown if words[:1] == ["chargehand"] and words[1:]} >= {
        "send",
        "simulate",
        "tree",
        "replay",
    }


STREAMS = [
    (re.compile("/api/v1/events"), {"get"}),
    (re.compile("/api/v1/charge-points/[^/]+/frames"), {"get"}),
    (re.compile("/metrics|/livez|/readyz|/healthz"), {"get"}),
]


@pytest.mark.parametrize("text", blocks("console"))
def test_the_api_has_the_paths_of_a_block(text):
    calls = list(called(text))
    if not calls:
        return
    paths = [
        (re.compile(re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(path))), item.keys()) for path, item in PATHS
    ]
    for method, path in calls:
        known = any(method in methods and one.fullmatch(path) for one, methods in [*paths, *STREAMS])
        assert known or path.startswith("/api/v1/plugins/"), (method, path)


@pytest.mark.parametrize(
    "words", [["serve", "--nonsense"], ["nonsense"], ["charge-points", "--nonsense"], ["do"] + ["unlock"] * 3]
)
def test_what_the_command_line_does_not_take_is_found(words):
    with pytest.raises(click.UsageError):
        check_arguments(words)
