"""The program itself: its start, the settings that it refuses to start with, and its end."""

import signal
import socket
from pathlib import Path

import pytest

from .conftest import StartServer
from .rawsocket import RawSocket
from .server import chargehand


def serve(folder: Path, *options: str, config: str = "", **environment: str) -> tuple[int, str]:
    """Run a `serve` that is expected to end by itself; return its status and its output."""
    extra = []
    if config:
        (folder / "chargehand.toml").write_text(config)
        extra = ["--config", str(folder / "chargehand.toml")]
    ports = [] if "--port" in options else ["--port", "0"]
    done = chargehand(
        *("serve", "--data", str(folder / "data"), *ports, "--http-port", "0", *extra, *options),
        environment=environment,
    )
    assert "Traceback" not in done.output, done.output
    return done.status, done.output


def lines(output: str) -> list[str]:
    """Return the output without empty lines."""
    return [line for line in output.splitlines() if line.strip()]


# What it refuses to start with


def test_a_port_in_use_is_one_clear_line_and_status_one(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        status, output = serve(tmp_path, "--port", port)
    assert status == 1
    assert [line for line in lines(output) if port in line and "in use" in line], output


def test_a_second_server_on_the_same_data_is_refused_in_a_line_and_the_first_lives(
    start_server: StartServer,
) -> None:
    server = start_server()
    done = chargehand("serve", "--data", str(server.data), "--port", "0", "--http-port", "0")
    assert done.status == 1
    assert len(lines(done.output)) == 2, done.output
    assert str(server.data) in done.output
    assert server.ask("GET", "/healthz").status == 200


def test_a_bad_config_ends_with_status_two_and_names_every_error(tmp_path: Path) -> None:
    status, output = serve(
        tmp_path,
        config='prot = 9\nport = "many"\n[back_office]\nheartbeat_intervall_s = 5\n[log]\nlevel = "LOUD"\n',
    )
    assert status == 2
    for wanted in ("prot", "port", "heartbeat_interval_s", "level"):
        assert wanted in output, output
    assert "did you mean" in output.lower()


def test_a_config_that_is_not_there_or_no_toml_ends_with_status_two(tmp_path: Path) -> None:
    status, output = serve(tmp_path, "--config", str(tmp_path / "missing.toml"))
    assert status == 2
    assert "missing.toml" in output
    status, output = serve(tmp_path, config="[[[")
    assert status == 2
    assert "chargehand.toml" in output


def test_a_bad_environment_variable_ends_with_status_two(tmp_path: Path) -> None:
    status, output = serve(tmp_path, CHARGEHAND_LOG__KEEP_FILES="many")
    assert status == 2
    assert "CHARGEHAND_LOG__KEEP_FILES" in output


def test_another_address_than_loopback_without_credentials_needs_open(tmp_path: Path) -> None:
    status, output = serve(tmp_path, "--host", "0.0.0.0")
    assert status != 0
    assert "--open" in output


def test_with_open_it_binds_any_address(start_server: StartServer) -> None:
    server = start_server("--host", "0.0.0.0", "--open")
    with RawSocket.open(server.ws.replace("0.0.0.0", "127.0.0.1") + "CP1") as raw:
        raw.boot()


@pytest.mark.parametrize(
    "name", ["no_such_module_anywhere:Tags", "json:Tags", "json:loads", "nonsense", "json"]
)
def test_a_plugin_that_cannot_be_loaded_is_a_clear_error(tmp_path: Path, name: str) -> None:
    status, output = serve(tmp_path, "--plugin", name)
    assert status in {1, 2}
    assert name in output


def test_a_certificate_that_cannot_be_read_is_a_clear_error(tmp_path: Path) -> None:
    status, output = serve(tmp_path, config='[tls]\ncertificate = "no.pem"\nkey = "no.key"\nport = 0\n')
    assert status in {1, 2}
    assert "no.pem" in output


# How it starts


def test_without_credentials_it_says_that_anybody_may_connect(start_server: StartServer) -> None:
    assert "credentials" in start_server().output.lower()


def test_version_is_printed() -> None:
    done = chargehand("--version")
    assert done.status == 0
    assert done.output.strip()


# How it ends


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_in_order_and_its_clients_see_1001(
    start_server: StartServer, number: signal.Signals
) -> None:
    server = start_server()
    sockets = [RawSocket.open(f"{server.ws}CP{at}").boot() for at in range(20)]
    assert server.signal_and_wait(number) == 0, server.output
    assert [raw.close_code() for raw in sockets] == [1001] * 20
    for raw in sockets:
        raw.socket.close()
    assert "Traceback" not in server.output
    assert not (server.data / "run.json").exists()


def test_it_stops_in_time_with_a_client_that_does_not_read_and_a_command_that_waits(
    start_server: StartServer,
) -> None:
    server = start_server()
    with RawSocket.open(server.ws + "CP1").boot():
        assert server.command("CP1", "ClearCache", {}, wait=0).status == 202
        server.stop()


def test_a_server_that_was_killed_leaves_a_data_folder_that_the_next_one_takes(
    start_server: StartServer,
) -> None:
    first = start_server()
    first.close()  # SIGKILL
    assert first.process.returncode == -signal.SIGKILL
    second = start_server(data=first.data)
    assert second.pid != first.pid
    with RawSocket.open(second.ws + "CP1") as raw:
        raw.boot()
