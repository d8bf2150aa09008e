"""`chargehand recording` and `chargehand replay`: a real conversation, saved and replayed."""

import json

import pytest
from click.testing import CliRunner

from chargehand import CentralSystem, Settings, v16
from chargehand.cli.main import main
from chargehand.simulator import ChargePoint

pytestmark = pytest.mark.usefixtures("_clean_environment")


@pytest.fixture
def lines():
    with CentralSystem(Settings(port=0)) as system:
        with ChargePoint(f"ws://127.0.0.1:{system.port}/ocpp/", "CP1") as charge_point:
            charge_point.send(v16.Authorize(id_tag="Tü"))
        return system.recording("CP1").splitlines()


def replay(path, **more):
    return CliRunner().invoke(main, ["replay", str(path)], **more)


def test_a_recording_that_replays_without_a_difference_is_status_zero(lines, tmp_path):
    (tmp_path / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    done = replay(tmp_path / "a.jsonl")
    assert (done.exit_code, done.output) == (0, "")


def test_it_may_come_from_standard_input(lines):
    assert replay("-", input="\n".join(lines)).exit_code == 0


def test_every_difference_is_shown_and_is_status_one(lines, tmp_path):
    at = json.loads(lines[-1])["at"] + 1
    lines += [
        json.dumps({"at": at, "kind": "in", "data": '[2,"a","Nonsense",{}]'}),
        json.dumps({"at": at, "kind": "out", "data": '[4,"a","GenericError","\\u001b",{}]'}),
        json.dumps({"at": at, "kind": "in", "data": '[2,"b","Nonsense",{}]'}),
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    done = replay(tmp_path / "a.jsonl")
    assert done.exit_code == 1
    shown = done.stdout.splitlines()
    assert shown[0] == f"at {at:.6f}"
    assert shown[1] == '  then  [4, "a", "GenericError", "\\u001b", {}]'
    assert shown[2].startswith('  now   [4, "a", "NotImplemented"')
    assert shown[4] == "  then  nothing"
    assert shown[5].startswith('  now   [4, "b", "NotImplemented"')
    assert len(shown) == 6


@pytest.mark.parametrize("content", [b"", b"{}", b"nonsense", b"\xff\xfe"])
def test_what_is_no_record_is_status_two(tmp_path, content):
    (tmp_path / "a.jsonl").write_bytes(content)
    done = replay(tmp_path / "a.jsonl")
    assert (done.exit_code, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 2


def test_a_file_that_is_not_there_is_status_two(tmp_path):
    done = replay(tmp_path / "none.jsonl")
    assert done.exit_code == 2
    assert "none.jsonl" in done.stderr


def test_a_record_is_printed_as_it_came_but_for_what_moves_the_cursor(stub):
    stub.body = '{"data": "ü\x9b"}\n{}\n'.encode()
    done = CliRunner().invoke(main, ["recording", "CP1", "--url", stub.url])
    assert done.exit_code == 0
    assert done.stdout == '{"data": "ü\\u009b"}\n{}\n'
