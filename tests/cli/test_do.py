"""`chargehand do`, against a stub of the HTTP API: a command for each verb, an option for each of its members."""

import json

import click
import msgspec
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from chargehand.cli.do import do
from chargehand.cli.main import main
from chargehand.protocol.verbs import VERBS

pytestmark = pytest.mark.usefixtures("_clean_environment")


ROOT = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"


@pytest.fixture(autouse=True)
def _answered(stub):
    stub.body = {"ticket": "1-1", "state": "answered", "response": {"status": "Accepted"}}


@pytest.fixture
def run(stub):
    def run(*arguments):
        return CliRunner().invoke(main, ["do", *arguments, "--url", stub.url])

    return run


@pytest.mark.parametrize(
    ("arguments", "verb", "members"),
    [
        (("start-charging", "--id-tag", "T1", "--evse", "2"), "start_charging", {"id_tag": "T1", "evse": 2}),
        (("stop-charging", "--transaction-id", "7"), "stop_charging", {"transaction_id": 7}),
        (("stop-charging", "--transaction-id", "a7"), "stop_charging", {"transaction_id": "a7"}),
        (("unlock",), "unlock", {"evse": 1}),
        (("set-availability", "--not-available"), "set_availability", {"available": False}),
        (("set-availability", "--available", "--evse", "1"), "set_availability", {"available": True, "evse": 1}),
        (("reset",), "reset", {"at_once": False}),
        (("reset", "--at-once"), "reset", {"at_once": True}),
        (("limit", "--watts", "7400"), "limit", {"watts": 7400.0}),
        (("limit", "--amps", "0", "--transaction-id", "7"), "limit", {"amps": 0.0, "transaction_id": 7}),
        (("clear-limit",), "clear_limit", {}),
        (("trigger", "--message", "Heartbeat"), "trigger", {"message": "Heartbeat"}),
        (("get-configuration", "--key", "A", "--key", "B"), "get_configuration", {"keys": ["A", "B"]}),
        (("get-configuration",), "get_configuration", {}),
        (("set-configuration", "--key", "A", "--value", ""), "set_configuration", {"key": "A", "value": ""}),
        (
            ("update-firmware", "--location", "ftp://h/f", "--retrieve-at", "2026-12-01T02:00+01:00"),
            "update_firmware",
            {"location": "ftp://h/f", "retrieve_at": "2026-12-01T02:00:00+01:00"},
        ),
        (
            ("get-logs", "--location", "ftp://h/", "--since", "2026-12-01", "--retry-interval", "5"),
            "get_logs",
            {
                "location": "ftp://h/",
                "kind": "diagnostics",
                "since": "2026-12-01T00:00:00+00:00",
                "retry_interval_s": 5,
            },
        ),
        (
            ("reserve", "--id-tag", "T1", "--until", "2026-12-01T00:00:00Z"),
            "reserve",
            {"id_tag": "T1", "until": "2026-12-01T00:00:00+00:00"},
        ),
        (
            ("set-monitor", "--variable", "A.B", "--kind", "Delta", "--value", "2"),
            "set_monitor",
            {"variable": "A.B", "kind": "Delta", "value": 2.0, "severity": 5, "transaction_only": False},
        ),
        (("clear-monitors", "--monitor-id", "3", "--monitor-id", "5"), "clear_monitors", {"monitor_ids": [3, 5]}),
        (("get-monitors", "--variable", "A.B"), "get_monitors", {"variables": ["A.B"]}),
        (("composite-schedule", "--evse", "1"), "composite_schedule", {"evse": 1, "duration_s": 86_400}),
        (
            ("customer-information", "--id-tag", "T1", "--report"),
            "customer_information",
            {"id_tag": "T1", "report": True, "clear": False},
        ),
        (("cancel-reservation", "--reservation-id", "7"), "cancel_reservation", {"reservation_id": 7}),
        (
            ("install-certificate", "--certificate", ROOT),
            "install_certificate",
            {"certificate": ROOT, "use": "central_system"},
        ),
        (("get-installed-certificates", "--use", "v2g"), "get_installed_certificates", {"uses": ["v2g"]}),
        (
            ("delete-certificate", "--serial-number", "1f", "--issuer-name-hash", "a", "--issuer-key-hash", "b"),
            "delete_certificate",
            {"serial_number": "1f", "issuer_name_hash": "a", "issuer_key_hash": "b", "hash_algorithm": "SHA256"},
        ),
        (
            ("send-certificate", "--certificate-chain", ROOT),
            "send_certificate",
            {"certificate_chain": ROOT, "use": "charging_station"},
        ),
        (("renew-certificate",), "renew_certificate", {"use": "charging_station"}),
        (("rotate-key",), "rotate_key", {}),
    ],
)  # fmt: skip
def test_a_verb_is_asked_for_with_its_options_as_members(run, stub, arguments, verb, members):
    done = run(arguments[0], "a/b", *arguments[1:])
    assert (done.exit_code, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {"status": "Accepted"}
    ((path, _, body),) = stub.requests
    assert path == f"/api/v1/charge-points/a%2Fb/verbs/{verb}?timeout=30"
    assert json.loads(body) == members
    assert msgspec.json.decode(body, type=VERBS[verb])


def test_a_verb_takes_the_options_of_send(run, stub):
    stub.status, stub.body = 202, {"ticket": "1-7", "state": "queued"}
    done = run("unlock", "CP1", "--queue", "--expires-in", "60", "--timeout", "5")
    assert (done.exit_code, done.stdout) == (0, "1-7\n")
    assert stub.requests[0][0].endswith("?timeout=5&when_offline=queue&expires_in=60")


def test_the_message_that_a_verb_was_put_into_goes_to_standard_error(run, stub):
    stub.body |= {"action": "ReserveNow", "request": {"reservationId": 7}}
    done = run("reserve", "CP1", "--id-tag", "T1", "--until", "2026-12-01")
    assert json.loads(done.stdout) == {"status": "Accepted"}
    assert done.stderr == 'ReserveNow {"reservationId": 7}\n'


def test_a_refusal_of_the_server_is_a_clear_text_and_status_one(run, stub):
    stub.status, stub.body = 422, {"title": "Verb refused", "description": "OCPP 1.6: no such thing"}
    done = run("unlock", "CP1")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("chargehand: unlock to CP1: Verb refused: OCPP 1.6: no such thing\n")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("dance", "CP1"), "No such command 'dance'"),
        (("start-charging", "CP1"), "Missing option '--id-tag'"),
        (("set-availability", "CP1"), "Missing option '--available'"),
        (("unlock", "CP1", "--evse", "two"), "'two' is not a valid integer"),
        (("reserve", "CP1", "--id-tag", "T", "--until", "soon"), "'soon' is no time like"),
        (("unlock",), "Missing argument 'CP'"),
    ],
)
def test_a_wrong_option_ends_with_status_two_and_asks_nothing(run, stub, arguments, text):
    done = run(*arguments)
    assert done.exit_code == 2
    assert text in done.stderr
    assert stub.requests == []


def test_every_verb_is_a_command_and_explains_each_of_its_members():
    context = click.Context(do)
    assert {name.replace("-", "_") for name in do.list_commands(context)} == {*VERBS}
    for name in do.list_commands(context):
        for option in do.get_command(context, name).params:
            assert isinstance(option, click.Argument) or option.help


def test_no_option_of_a_verb_is_an_option_of_all_verbs_too():
    context = click.Context(do)
    for name in do.list_commands(context):
        params = do.get_command(context, name).params
        for names in ([opt for param in params for opt in param.opts], [param.name for param in params]):
            assert len(names) == len(set(names)), name


def test_verbs_and_their_options_are_completed():
    completer = ShellComplete(main, {}, "chargehand", "_CHARGEHAND_COMPLETE")
    assert [item.value for item in completer.get_completions(["do"], "unl")] == ["unlock"]
    assert [item.value for item in completer.get_completions(["do", "unlock"], "--ev")] == ["--evse"]


def test_a_certificate_is_read_from_a_file(run, stub, tmp_path):
    file = tmp_path / "root.pem"
    file.write_text(ROOT)
    assert run("install-certificate", "CP1", "--certificate", str(file)).exit_code == 0
    ((_, _, body),) = stub.requests
    assert json.loads(body)["certificate"] == ROOT


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_without_a_certificate_is_refused_by_name(run, stub, tmp_path, content):
    file = tmp_path / "root.pem"
    if content is not None:
        file.write_bytes(content)
    done = run("install-certificate", "CP1", "--certificate", str(file))
    assert done.exit_code == 2
    assert str(file) in done.stderr
    assert not stub.requests
