"""Helpers that a contestant needs beside its own process: a certificate, PostgreSQL, or Redis with plugin hosts.

Rule: all of it is made for one turn, in the turn's folder or on free ports, and ends with it. A program that is not
installed is told by `without_…`, so that the contestant is left out with a reason.
"""

import ctypes.util
import datetime as dt
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chargehand.tests.ports import free_port
from chargehand.tests.postgres_process import NoPostgres, PostgresProcess, find_programs

HERE = Path(__file__).parent
CONFIG = "bench.toml"
PLUGIN_HOSTS = 2
READY_S = 120.0

TLS = """
[tls]
certificate = "{certificate}"
key = "{key}"
port = {port}
plain = false
"""
POSTGRES = """
store = "{url}"
"""
REMOTE = """
[redis]
url = "redis://127.0.0.1:{redis}/0"
secret = "a secret of the bench"
remote_actions = ["Authorize", "Heartbeat", "StatusNotification"]
"""


class HelperFailedError(RuntimeError):
    """A process that a contestant needs did not start; carries the end of its output."""


def nothing() -> str | None:
    """Return no reason: the contestant needs nothing more."""
    return None


def without_tls() -> str | None:
    """Return the reason why the load generator cannot speak TLS, or None if it can."""
    if ctypes.util.find_library("ssl") is None or not Path("/usr/include/openssl/ssl.h").exists():
        return "the load generator needs OpenSSL's headers for TLS (Debian: apt install libssl-dev)"
    return None


def without_postgres() -> str | None:
    """Return the reason why there is no PostgreSQL, or None if it can be started."""
    try:
        find_programs()
    except NoPostgres as error:
        return str(error)
    return None


def without_redis() -> str | None:
    """Return the reason why there is no Redis, or None if it can be started."""
    return (
        None
        if shutil.which("redis-server")
        else "there is no redis-server (Debian: apt install redis-server)"
    )


def config_of(folder: Path) -> Path:
    """Return the configuration file of a turn's folder."""
    return folder / CONFIG


@contextmanager
def with_certificate(_python: str, port: int, folder: Path) -> Iterator[list[int]]:
    """Write a certificate of the usual kind (ECDSA, P-256), and a configuration that serves wss on the port."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    write_certificate(certificate, key)
    config_of(folder).write_text(TLS.format(certificate=certificate, key=key, port=port))
    yield []


def write_certificate(certificate: Path, key: Path) -> None:
    """Write a self-signed certificate for 127.0.0.1 and its key."""
    from cryptography import x509  # noqa: PLC0415 (only if TLS is measured)
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=365))
        .sign(private, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


@contextmanager
def with_postgres(_python: str, _port: int, folder: Path) -> Iterator[list[int]]:
    """Start a PostgreSQL of its own that flushes its commits, and write its URL into the configuration."""
    try:
        with PostgresProcess(fsync=True) as server:
            config_of(folder).write_text(POSTGRES.format(url=server.url))
            yield [server.pid]
    except NoPostgres as error:
        raise HelperFailedError(str(error)) from None


@contextmanager
def with_plugin_hosts(python: str, _port: int, folder: Path) -> Iterator[list[int]]:
    """Start Redis and the plugin hosts, and write a configuration for them and the node."""
    redis = free_port()
    config_of(folder).write_text(REMOTE.format(redis=redis))
    commands = [
        ["redis-server", "--port", str(redis), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
        *(
            [
                python,
                "-m",
                "chargehand",
                "plugin-host",
                "user_plugin:Depot",
                "--config",
                str(config_of(folder)),
            ]
            for _ in range(PLUGIN_HOSTS)
        ),
    ]
    started: list[subprocess.Popen[bytes]] = []
    try:
        for number, command in enumerate(commands):
            log = folder / f"beside-{number}.log"
            with log.open("wb") as output:
                started.append(
                    subprocess.Popen(
                        command,
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=subprocess.STDOUT,
                        cwd=folder,
                        env=os.environ
                        | {"PYTHONPATH": f"{HERE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
                    )
                )
            _wait_for(started[-1], log, "Ready to accept" if number == 0 else "ready\n")
        yield [process.pid for process in started]
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for(process: subprocess.Popen[bytes], log: Path, text: str) -> None:
    """Wait until a process has written a text."""
    deadline = time.monotonic() + READY_S
    while text not in log.read_text(errors="replace"):
        if process.poll() is not None or time.monotonic() > deadline:
            raise HelperFailedError(log.read_text(errors="replace")[-2000:])
        time.sleep(0.05)
