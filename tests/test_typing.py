"""Type checkers help those who write plugins: every example passes mypy --strict and pyright, and mistakes do not."""

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import chargehand

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
SOURCES = ROOT / ".venv" / "src"
TUTORIAL = ROOT / "docs" / "tutorial.md"
"""Page whose blocks are files of a package, which its own test writes and runs."""
PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/**/*.md")} - {TUTORIAL})
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FENCE = re.compile(r"^[ \t>]*(?:```|~~~)[ \t{.]*(?:py|python|python3|pycon)\b", re.MULTILINE | re.IGNORECASE)
"""Beginning of a block that a reader takes for Python, however it is written."""
NAMES = sorted(name for name in chargehand.__all__ if name.isidentifier())

GIVEN = """
class _Meters:
    directory: Any
    def note(self, meter: int, transaction_id: int) -> None: ...
def export(event: TransactionEnded | TransactionCorrected) -> None: ...
"""
"""Names that the fragments of the pages take for granted."""

MISTAKES = {
    "a handler of another action": """
class Wrong(Plugin):
    @passive(v16.Authorize)
    def heartbeat(self, call: Call[v16.Heartbeat]) -> v16.HeartbeatResponse:
        raise NotImplementedError
""",
    "a handler of another action that blocks": """
class Wrong(Plugin):
    @passive(v16.Authorize, blocking=True)
    def heartbeat(self, call: Call[v16.Heartbeat]) -> v16.HeartbeatResponse:
        raise NotImplementedError
""",
    "a handler of another event": """
class Wrong(Plugin):
    @on(TransactionEnded)
    def came(self, event: ChargePointOnline) -> None:
        raise NotImplementedError
""",
    "a handler of one of two events": """
class Wrong(Plugin):
    @on(TransactionEnded, ChargePointOnline)
    def came(self, event: ChargePointOnline) -> None:
        raise NotImplementedError
""",
    "an observer of another action": """
class Wrong(Plugin):
    @after(v16.Authorize)
    def seen(self, call: AnsweredCall[v16.Heartbeat], answer: object) -> None:
        raise NotImplementedError
""",
    "a handler of another action of OCPP 2.0.1": """
class Wrong(Plugin):
    @passive(v201.Authorize)
    def heartbeat(self, call: Call[v201.Heartbeat]) -> v201.HeartbeatResponse:
        raise NotImplementedError
""",
    "a handler of the same action of another version": """
class Wrong(Plugin):
    @passive(v201.Authorize)
    def authorize(self, call: Call[v16.Authorize]) -> v16.AuthorizeResponse:
        raise NotImplementedError
""",
    "a handler that answers with the response of another action": """
class Wrong(Plugin):
    @passive(v16.Authorize)
    def authorize(self, call: Call[v16.Authorize]) -> v16.HeartbeatResponse:
        raise NotImplementedError
""",
    "a blocking handler that answers with the response of another action": """
class Wrong(Plugin):
    @passive(v201.Authorize, blocking=True)
    def authorize(self, call: Call[v201.Authorize]) -> v201.HeartbeatResponse:
        raise NotImplementedError
""",
    "a handler that answers with the response of another version": """
class Wrong(Plugin):
    @passive(v16.Authorize)
    def authorize(self, call: Call[v16.Authorize]) -> v201.AuthorizeResponse:
        raise NotImplementedError
""",
    "a handler that may answer with the response of another version": """
class Wrong(Plugin):
    @passive(v201.Heartbeat)
    def beat(self, call: Call[v201.Heartbeat]) -> v201.HeartbeatResponse | v16.HeartbeatResponse:
        raise NotImplementedError
""",
    "a handler that answers with its request": """
class Wrong(Plugin):
    @passive(v16.Authorize)
    def authorize(self, call: Call[v16.Authorize]) -> v16.Authorize:
        raise NotImplementedError
""",
    "a handler that answers with any message": """
class Wrong(Plugin):
    @passive(v16.Authorize)
    def authorize(self, call: Call[v16.Authorize]) -> Message:
        raise NotImplementedError
""",
    "a handler that answers with what is no message": """
class Wrong(Plugin):
    @passive(v16.Authorize)
    def authorize(self, call: Call[v16.Authorize]) -> str:
        raise NotImplementedError
""",
    "an answer given later that is of another version": """
class Wrong(Plugin):
    @passive(v16.Heartbeat)
    def beat(self, call: Call[v16.Heartbeat]) -> None:
        call.later().answer(v201.ClearCacheResponse(status=v201.ClearCacheStatus.ACCEPTED))
""",
    "an observer of the answers of another version": """
class Wrong(Plugin):
    @after(v16.Authorize)
    def seen(self, call: AnsweredCall[v16.Authorize], answer: v201.AuthorizeResponse | OcppError) -> None:
        raise NotImplementedError
""",
    "an observer that expects no errors": """
class Wrong(Plugin):
    @after(v16.Authorize)
    def seen(self, call: AnsweredCall[v16.Authorize], answer: v16.AuthorizeResponse) -> None:
        raise NotImplementedError
""",
    "a handler of the outcome of another command": """
class Wrong(Plugin):
    @on_outcome(v16.Reset)
    def ended(self, ticket: Ticket[v16.ClearCacheResponse]) -> None:
        raise NotImplementedError
""",
    "a handler of handshakes that takes a call": """
class Wrong(Plugin):
    @authenticate
    def admits(self, attempt: Call[v16.Authorize]) -> bool:
        raise NotImplementedError
""",
    "a verdict that is none": """
class Wrong(Plugin):
    @authenticate(blocking=True)
    def admits(self, attempt: ConnectionAttempt) -> str:
        raise NotImplementedError
""",
    "a member that its request has not": """
class Wrong(Plugin):
    @passive(v201.TransactionEvent)
    def told(self, call: Call[v201.TransactionEvent]) -> v201.TransactionEventResponse:
        return v201.TransactionEventResponse(id_token_info=call.request.id_tag)
""",
    "a response of another command of OCPP 2.0.1": """
class Wrong(Plugin):
    def go(self) -> v201.ResetResponse:
        return self.system.send("CS1", v201.ClearCache()).result()
""",
    "a command that is an answer": """
class Wrong(Plugin):
    def go(self) -> None:
        self.system.send("CS1", v201.ClearCacheResponse(status=v201.ClearCacheStatus.ACCEPTED))
""",
    "a verb that there is not": """
class Wrong(Plugin):
    def go(self) -> None:
        self.system.explode("CP1")
""",
    "an option that there is not": """
class Wrong(Plugin):
    def go(self) -> None:
        self.system.unlock("CP1", until_it_works=True)
""",
    "a response of another command": """
class Wrong(Plugin):
    def go(self) -> v16.ResetResponse:
        return self.system.send("CP1", v16.ClearCache()).result()
""",
}

RIGHT = """
class Right(Plugin):
    @passive(v16.Authorize)
    def typed(self, call: Call[v16.Authorize]) -> v16.AuthorizeResponse:
        return call.pass_on()

    @passive("Heartbeat")
    def named(self, call: Call[v16.Heartbeat]) -> dict[str, object]:
        return {}

    @passive(v16.DataTransfer, blocking=True)
    def anything(self, call: Call[Any]) -> Any: ...

    @passive(v16.Heartbeat)
    def later(self, call: Call[v16.Heartbeat]) -> v16.HeartbeatResponse | None:
        call.later().answer({"currentTime": "2026-01-01T00:00:00Z"})
        return None

    @passive(v16.StatusNotification)
    def mapping(self, call: Call[v16.StatusNotification]) -> Mapping[str, object]:
        return {}

    @passive(v16.MeterValues)
    def both(self, call: Call[v16.MeterValues]) -> v16.MeterValuesResponse | dict[str, str]:
        return call.pass_on() if call.request.connector_id else {}

    @passive(v16.BootNotification)
    def untyped(self, call):  # type: ignore[no-untyped-def]
        return {"status": "Accepted", "currentTime": "2026-01-01T00:00:00Z", "interval": 300}

    @passive(v16.StopTransaction)
    def stored(self, call: Call[v16.StopTransaction]) -> v16.StopTransactionResponse:
        return call.once_stored(v16.StopTransactionResponse())

    @on(TransactionEnded, TransactionCorrected)
    def ended(self, event: TransactionEnded | TransactionCorrected) -> None:
        print(event.transaction.transaction_id)

    @on(ChargePointOnline, blocking=True)
    def came(self, event: ChargePointOnline) -> None: ...

    @after(v16.Authorize)
    def seen(self, call: AnsweredCall[v16.Authorize], answer: v16.AuthorizeResponse | OcppError) -> None:
        print(call.fallback, call.request.id_tag)

    @after(v16.Heartbeat)
    def beat(self, call: Call[v16.Heartbeat], answer: object) -> None: ...

    @on_outcome(v16.Reset)
    def reset(self, ticket: Ticket[v16.ResetResponse]) -> None: ...

    @authenticate
    def admits(self, attempt: ConnectionAttempt) -> bool | None:
        return True if attempt.password == b"secret" else None

    def go(self) -> None:
        ticket = self.system.unlock("CP1", until_effect=True, timeout_s=5)
        ticket.wait(1.0)
        record = self.system.store.transaction(17)
        if record is not None:
            print(record.meter_start, self.system.store.meter_readings(17))
        for tag in self.system.store.collections.tags:
            print(tag.id_tag)
        for charge_point in self.system.charge_points():
            print(charge_point.connected, len(charge_point.connectors), charge_point.connectors.get(1))
        print(self.system.settings.port, self.system.find_transaction(17).id)
        tested: v16.AuthorizeResponse = self.typed(cast("Call[v16.Authorize]", None))
        print(tested.id_tag_info.status)
        status: v16.ClearCacheStatus = self.system.send("CP1", v16.ClearCache()).result().status
        print(status)

class RightFor201(Plugin):
    @passive(v201.Authorize)
    def authorize(self, call: Call[v201.Authorize]) -> v201.AuthorizeResponse:
        print(call.request.id_token.id_token)
        return call.pass_on()

    @passive(v201.TransactionEvent, blocking=True)
    def told(self, call: Call[v201.TransactionEvent]) -> v201.TransactionEventResponse:
        print(call.request.seq_no, call.request.transaction_info.transaction_id)
        return v201.TransactionEventResponse()

    @after(v201.Authorize)
    def seen(self, call: AnsweredCall[v201.Authorize], answer: v201.AuthorizeResponse | OcppError) -> None: ...

    @on_outcome(v201.Reset)
    def reset(self, ticket: Ticket[v201.ResetResponse]) -> None: ...

    def go(self) -> None:
        status: v201.ClearCacheStatus = self.system.send("CS1", v201.ClearCache()).result().status
        reports = self.system.send_many(["CS1"], v201.Reset(type=v201.ResetType.IMMEDIATE), until_effect=True)
        print(status, [result.ok for result in reports])
"""


def module_of(block: str) -> str:
    """Make a module of a block: it is one, or the methods of a plugin, or statements beside a system."""
    if re.search(r"^(from|import) ", block, re.MULTILINE):
        return block
    body = textwrap.indent(block, "    ")
    if block.startswith("@"):
        body = f"class Fragment(Plugin):\n    meters: _Meters\n\n{body}"
    else:
        body = f"def fragment(self: Plugin, system: CentralSystem) -> None:\n{body}"
    return with_names(GIVEN + body)


def with_names(body: str) -> str:
    used = [name for name in NAMES if re.search(rf"\b{name}\b", body)]
    head = ""
    if re.search(r"\b(contextlib|Any|Mapping|cast)\b", body):
        head = "import contextlib\nfrom collections.abc import Mapping\nfrom typing import Any, cast\n"
    return f"{head}from chargehand import {', '.join(used)}\n{body}"


def blocks() -> dict[str, str]:
    found = {}
    for page in PAGES:
        name = page.relative_to(ROOT).with_suffix("").as_posix().replace("/", "_")
        for number, block in enumerate(BLOCK.findall(page.read_text(encoding="utf-8")), 1):
            if "--8<--" in block:
                included = re.findall(r"^examples/\S+$", block, re.MULTILINE)
                assert included, f"{page.name}: what block {number} includes is not in examples/"
            else:
                found[f"{name}_{number}"] = module_of(block)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("typed")
    for name, source in blocks().items():
        (made / f"page_{name.lower()}.py").write_text(source, encoding="utf-8")
    for example in sorted((ROOT / "examples").glob("*.py")):
        (made / f"example_{example.name}").write_text(example.read_text(encoding="utf-8"), encoding="utf-8")
    (made / "right.py").write_text(with_names(RIGHT), encoding="utf-8")
    for number, source in enumerate(MISTAKES.values()):
        (made / f"mistake_{number}.py").write_text(with_names(source), encoding="utf-8")
    config = {"extraPaths": [str(SOURCES)], "pythonVersion": "3.11", "typeCheckingMode": "standard"}
    (made / "pyrightconfig.json").write_text(json.dumps(config), encoding="utf-8")
    return made


@pytest.fixture(scope="module", params=["mypy", "pyright"])
def errors(request: pytest.FixtureRequest, folder: Path) -> dict[str, list[str]]:
    """Errors by module, of one type checker; all modules are checked at once."""
    if not SOURCES.is_dir() or not (BIN / request.param).exists():
        pytest.skip(f"{request.param} is not installed: `make test` installs it")
    files = sorted(path.name for path in folder.glob("*.py"))
    mypy = ["--strict", "--config-file=", "--python-version=3.11", "--no-error-summary", "--cache-dir=cache"]
    options = mypy if request.param == "mypy" else ["--pythonpath", sys.executable]
    done = subprocess.run(
        [BIN / request.param, *options, *files],
        cwd=folder,
        env={**os.environ, "MYPYPATH": str(SOURCES), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.stdout, done.stderr
    found: dict[str, list[str]] = {Path(name).stem: [] for name in files}
    for line in done.stdout.splitlines():
        hit = re.match(r"\s*(?:.*/)?(\w+)\.py:\d+(?::\d+)?(?:: error:| - error:)(.*)", line)
        if hit is not None and hit[1] in found:  # the package has its own check, with its own configuration
            found[hit[1]].append(line.strip())
    return found


def test_no_block_of_the_pages_is_left_out() -> None:
    texts = {page.relative_to(ROOT): page.read_text(encoding="utf-8") for page in PAGES}
    assert Path("README.md") in texts
    assert Path("docs/plugins.md") in texts
    missed = {str(page): len(FENCE.findall(text)) - len(BLOCK.findall(text)) for page, text in texts.items()}
    assert {page: number for page, number in missed.items() if number} == {}


def test_every_example_and_every_block_of_the_pages_passes(errors: dict[str, list[str]]) -> None:
    assert errors.keys() >= {f"page_{name.lower()}" for name in blocks()}
    wrong = {name: lines for name, lines in errors.items() if lines and not name.startswith("mistake_")}
    assert wrong == {}


def test_every_mistake_is_found(errors: dict[str, list[str]]) -> None:
    places = {
        what: {re.findall(r"\.py:(\d+)", line)[0] for line in errors[f"mistake_{number}"]}
        for number, what in enumerate(MISTAKES)
    }
    found = {what: len(lines) for what, lines in places.items()}
    assert found == dict.fromkeys(MISTAKES, 1)  # and no other one
