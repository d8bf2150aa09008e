"""Every failure of the command line says what to do next."""

import ast
import io
from pathlib import Path

import pytest

import chargehand
from chargehand.cli.api import NEXT_BY_TITLE, refused
from chargehand.cli.failures import CommandFailed

CLI = Path(chargehand.__file__).parent / "cli"
WEB = CLI.parent / "web"
RAISED = {"CommandFailed", "CommandMisused", "NoAnswer"}


def test_a_failure_is_two_lines_and_no_text_of_others_forges_one():
    text = io.StringIO()
    CommandFailed("CP\x1b is away\n  line 2", "wait for\x07 it").show(text)
    assert text.getvalue() == "chargehand: CP\\x1b is away\n  line 2\n  next: wait for\\x07 it\n"


def calls():
    for path in sorted(CLI.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in RAISED:
                yield pytest.param(node, id=f"{path.name}:{node.lineno}")


@pytest.mark.parametrize("call", list(calls()))
def test_each_failure_is_raised_with_a_next_step(call):
    assert len(call.args) == 2
    hint = call.args[1]
    assert not isinstance(hint, ast.Constant) or hint.value.strip()


@pytest.mark.parametrize(
    "status", [400, 401, 403, 404, 408, 409, 413, 418, 422, 429, 500, 502, 503, 504, 507]
)
def test_a_refusal_of_each_status_has_a_next_step(status):
    failure = refused(status, {"title": "T", "description": "d"}, "CP1")
    assert failure.hint
    assert failure.format_message().startswith("the server wants" if status == 401 else "CP1: T: d")


def test_titles_with_a_step_of_their_own_are_titles_of_the_api():
    sources = "".join(path.read_text() for path in WEB.glob("*.py"))
    assert [title for title in NEXT_BY_TITLE if f'"{title}"' not in sources] == []
