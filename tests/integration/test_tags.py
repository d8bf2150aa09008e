"""Tags through the real commands and the real server, over a restart."""

import csv
import io
import subprocess
import sys

from .conftest import StartServer


def chargehand(*arguments: str, text: str | None = None) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "chargehand", *arguments],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


def test_a_thousand_imported_tags_are_exported_again_after_a_restart(start_server: StartServer) -> None:
    server = start_server("--store", "sqlite")
    rows = [
        (f"T{number:04d}", "Blocked" if number % 2 else "Accepted", "", "FLEET") for number in range(5000)
    ]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("id_tag", "status", "expiry", "parent"), *rows])
    data = ("--data", str(server.data))
    assert chargehand("tags", "import", "-", *data, text=text.getvalue()) == "5000 tags entered\n"
    assert chargehand("tags", "export", *data) == text.getvalue()
    assert chargehand("tags", "remove", "t0001", *data) == "T0001 is removed\n"
    chargehand("tags", "add", "T0000", "--status", "Blocked", *data)
    server.stop()
    again = start_server("--store", "sqlite", data=server.data)
    lines = chargehand("tags", "export", "--data", str(again.data)).splitlines()
    assert len(lines) == 5000
    assert lines[1:3] == ["T0000,Blocked,,", "T0002,Accepted,,FLEET"]
