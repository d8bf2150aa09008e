"""`chargehand simulate` against a real central system in this process: a visit, and every way in which it ends."""

import json
import os
import signal

import gevent
import pytest
from click.testing import CliRunner

from chargehand import (
    AuthSettings,
    BackOfficeSettings,
    CentralSystem,
    Plugin,
    Settings,
    TagSettings,
    TlsSettings,
    passive,
    v16,
)
from chargehand.cli.failures import CommandFailed
from chargehand.cli.main import main
from chargehand.cli.simulation import Visit, address, play

from ..hub import until
from ..ports import free_port

pytestmark = pytest.mark.usefixtures("_clean_environment")

DEADLINE_S = 60.0
FOR_EVER = 1000.0


class BlockingPlugin(Plugin):
    """Blocks, at the start of the transaction, a tag that everybody else accepts."""

    @passive(v16.StartTransaction)
    def refuse(self, call):
        return {"transactionId": call.transaction_id, "idTagInfo": {"status": "Blocked"}}


@pytest.fixture
def serve():
    """Start central systems."""
    started = []

    def start(*plugins, **settings):
        system = CentralSystem(Settings(port=0, **settings), plugins=plugins)
        system.start()
        started.append(system)
        return system

    yield start
    for system in started:
        system.stop()


@pytest.fixture
def lines():
    return []


@pytest.fixture
def be(lines):
    """Run a simulated charge point of a system; its visit is as short as possible unless options say otherwise."""

    def run(system, *, password=None, **visit):
        visit = {"tag": "T1", "connector": 1, "duration_s": 0.0, "interval_s": 2, "keep": False} | visit
        url = f"ws://127.0.0.1:{system.port}/ocpp/"
        play(url, "CP1", Visit(**visit), password=password, cafile=None, say=lines.append)

    return run


@pytest.fixture
def being(be):
    """Run it in a greenlet of its own."""
    started = []

    def run(system, **visit):
        started.append(gevent.spawn(be, system, **visit))
        return started[-1]

    yield run
    gevent.killall(started)


def transactions(system):
    return system.store.transactions()


def test_a_visit_is_told_step_by_step_and_leaves_nothing_behind(serve, be, lines):
    system = serve()
    be(system, duration_s=0.05)
    assert [line.split()[0] for line in lines] == [
        "connecting",
        "connected",
        "BootNotification",
        *["StatusNotification"] * 4,
        "Authorize",
        "StartTransaction",
        "StatusNotification",
        "MeterValues",
        "StopTransaction",
        *["StatusNotification"] * 2,
        "closed",
    ]
    (transaction,) = transactions(system)
    assert (transaction.id_tag, transaction.connector_id, transaction.open) == ("T1", 1, False)
    assert lines[-3].endswith("connector 1 is Finishing")
    assert lines[-2].endswith("connector 1 is Available")
    until(lambda: not system.charge_point("CP1").online, "it has gone")


def test_what_was_charged_follows_from_the_duration(serve, be):
    system = serve()
    be(system, duration_s=0.4)  # at 11 kW
    (transaction,) = transactions(system)
    assert transaction.meter_stop - transaction.meter_start == 1


def test_readings_come_by_themselves_at_the_interval(serve, being, lines):
    being(serve(), duration_s=FOR_EVER, interval_s=1)
    until(lambda: [line for line in lines if line.startswith("MeterValues")], "there is a reading")
    assert any("3 Wh" in line for line in lines)


def test_any_connector_and_any_tag_will_do(serve, be):
    system = serve()
    be(system, connector=5, tag="another")
    (transaction,) = transactions(system)
    assert (transaction.connector_id, transaction.id_tag) == (5, "another")


def test_a_tag_that_may_not_charge_is_a_failure(serve, be, lines):
    tags = {"T9": TagSettings(status="Blocked")}
    system = serve(back_office=BackOfficeSettings(tags=tags))
    with pytest.raises(CommandFailed, match="T9 may not charge: Blocked"):
        be(system, tag="T9")
    assert transactions(system) == []
    assert lines[-2].endswith("connector 1 is Available")


def test_a_tag_refused_at_the_start_is_a_failure_and_the_transaction_is_stopped(serve, be, lines):
    with pytest.raises(CommandFailed, match="T1 may not charge: Blocked"):
        be(serve(BlockingPlugin), duration_s=FOR_EVER)
    assert any(line.startswith("StopTransaction") and "DeAuthorized" in line for line in lines)


def test_a_charge_point_that_is_not_accepted_is_a_failure(serve, be):
    system = serve(back_office=BackOfficeSettings(registration="Pending"))
    with pytest.raises(CommandFailed, match="not accepted CP1: Pending"):
        be(system)


def test_a_wrong_password_is_a_failure(serve, be):
    system = serve(auth=AuthSettings(credentials={"CP1": "right"}))
    with pytest.raises(CommandFailed, match="401"):
        be(system, password="wrong")
    be(system, password="right")


def test_a_server_that_goes_meanwhile_is_a_failure(serve, being):
    system = serve()
    visit = being(system, duration_s=FOR_EVER)
    until(lambda: transactions(system), "it charges")
    system.stop()
    with pytest.raises(CommandFailed, match="the connection was lost"):
        visit.get(timeout=DEADLINE_S)


def test_a_transaction_that_the_central_system_stops_is_over(serve, being, lines):
    system = serve()
    visit = being(system, duration_s=FOR_EVER)
    (started,) = until(lambda: transactions(system), "it charges")
    system.send("CP1", v16.RemoteStopTransaction(transaction_id=started.id))
    visit.get(timeout=DEADLINE_S)
    assert [line for line in lines if line.startswith("StopTransaction") and "Remote" in line]


# Signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_that_stays_answers_commands_until_a_signal_comes(serve, being, lines, number):
    before = signal.getsignal(number)
    system = serve()
    visit = being(system, keep=True)
    until(lambda: transactions(system) and not transactions(system)[0].open, "it has charged")
    until(lambda: system.charge_point("CP1").connectors[1].status == "Available", "the vehicle has left")
    assert system.send("CP1", v16.ClearCache()).result(DEADLINE_S).status == "Accepted"
    start = v16.RemoteStartTransaction(id_tag="T2", connector_id=1)
    assert system.send("CP1", start, until_effect=True).wait(DEADLINE_S)
    until(lambda: transactions(system)[0].open, "the store has its start")

    os.kill(os.getpid(), number)
    visit.get(timeout=DEADLINE_S)
    assert not transactions(system)[0].open
    until(lambda: not system.charge_point("CP1").online, "it has gone")
    assert any(line.startswith("ClearCache") and "Accepted" in line for line in lines)
    assert signal.getsignal(number) is before


def test_a_signal_in_the_middle_of_a_charge_stops_that_first(serve, being):
    system = serve()
    visit = being(system, duration_s=FOR_EVER)
    until(lambda: transactions(system), "it charges")
    os.kill(os.getpid(), signal.SIGINT)
    visit.get(timeout=DEADLINE_S)
    (transaction,) = transactions(system)
    assert (transaction.open, transaction.stop_reason) == (False, "Local")


def test_one_that_stays_does_so_although_its_tag_may_not_charge(serve, being):
    tags = {"T1": TagSettings(status="Expired")}
    system = serve(back_office=BackOfficeSettings(tags=tags))
    visit = being(system, keep=True)
    until(lambda: system.charge_point("CP1") and system.charge_point("CP1").connectors, "it has booted")
    ticket = system.send("CP1", v16.Reset(type="Soft"), until_effect=True)
    assert ticket.wait(DEADLINE_S)
    assert ticket.effect == "done"
    os.kill(os.getpid(), signal.SIGINT)
    visit.get(timeout=DEADLINE_S)


def test_one_that_stays_and_is_not_accepted_waits_for_that(serve, being):
    system = serve(back_office=BackOfficeSettings(registration="Pending"))
    visit = being(system, keep=True)
    until(lambda: system.charge_point("CP1") and system.charge_point("CP1").boot, "it has booted")
    gevent.idle()
    assert not visit.ready()
    assert transactions(system) == []
    os.kill(os.getpid(), signal.SIGINT)
    visit.get(timeout=DEADLINE_S)


# The command


def simulate(*arguments):
    return CliRunner().invoke(main, ["simulate", *arguments])


def test_it_finds_the_server_of_the_data_folder_and_the_password_of_the_settings(serve, tmp_path):
    system = serve(auth=AuthSettings(credentials={"CP1": "right"}))
    folder = tmp_path / "chargehand-data"
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps({"ws": f"ws://127.0.0.1:{system.port}/ocpp/"}))
    (tmp_path / "c.toml").write_text('[auth]\ncredentials = {CP1 = "right"}\n')
    done = simulate("CP1", "--duration", "0", "--config", "c.toml")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "StopTransaction" in done.stdout
    assert simulate("CP1", "--duration", "0").exit_code == 1
    assert simulate("CP1", "--duration", "0", "--password", "right").exit_code == 0


def test_no_server_at_all_is_one_clear_line():
    url = f"ws://127.0.0.1:{free_port()}"
    done = simulate("CP1", "--url", url)
    assert done.exit_code == 1
    assert done.stderr.startswith(f"chargehand: no central system at {url}/CP1: Connection refused\n")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nonsense", "ws://"])
def test_an_address_that_is_none_is_status_two(url):
    done = simulate("CP1", "--url", url)
    assert done.exit_code == 2
    assert url in done.stderr


def test_what_answers_and_is_no_central_system_is_a_failure(stub):
    stub.status, stub.body = 404, b"nothing here"
    done = simulate("CP1", "--url", stub.url.replace("http", "ws"))
    assert done.exit_code == 1
    assert "404" in done.stderr


# Where


def test_without_a_server_the_settings_say_where_it_should_be(tmp_path):
    data = str(tmp_path)
    assert address(Settings(data=data, port=9100)) == "ws://127.0.0.1:9100/ocpp/"
    tls = TlsSettings(certificate="c.pem", key="c.key", plain=False)
    assert address(Settings(data=data, tls=tls)) == "wss://127.0.0.1:9443/ocpp/"


def test_what_a_running_server_says_wins_and_ws_before_wss(tmp_path):
    settings = Settings(data=str(tmp_path))
    (tmp_path / "run.json").write_text('{"ws": null, "wss": "wss://there/"}')
    assert address(settings) == "wss://there/"
    (tmp_path / "run.json").write_text('{"ws": "ws://there/", "wss": "wss://there/"}')
    assert address(settings) == "ws://there/"


@pytest.mark.parametrize("content", [None, b"nonsense"])
def test_a_cafile_that_cannot_be_used_is_status_two(tmp_path, content):
    path = tmp_path / "some.pem"
    if content is not None:
        path.write_bytes(content)
    done = simulate("CP1", "--url", "wss://127.0.0.1:1", "--cafile", str(path))
    assert done.exit_code == 2
    assert "some.pem cannot be used" in done.stderr
    assert len(done.stderr.splitlines()) == 2
