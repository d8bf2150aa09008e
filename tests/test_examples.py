"""The examples run, and the README shows them unchanged."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHOWN = [ROOT / "examples" / name for name in ("plugin.py", "embedded.py")]


def test_the_embedded_example_serves_its_charge_point() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "embedded.py"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "T1 Accepted",
        "T9 Invalid",
        "remote start: Accepted",
        "a charge point that is not there: never_sent",
    ]


def test_the_crash_example_shows_an_actor_that_comes_back() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "crash.py"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.splitlines() == ["before: 2", "after:  6"], done.stderr


@pytest.mark.parametrize(
    ("example", "page"),
    [
        ("asyncio_service.py", "asyncio.md"),
        ("bottle_host.py", "howto.md"),
        ("database.py", "supervision.md"),
        ("flask_host.py", "howto.md"),
        ("gevent_host.py", "howto.md"),
        ("own_authentication.py", "howto.md"),
        ("own_signer.py", "certificates.md"),
        ("own_store.py", "howto.md"),
        ("vehicle_schedules.py", "ocpp201.md"),
    ],
)
def test_an_example_prints_what_its_page_says(example: str, page: str) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / example],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shown = (ROOT / "docs" / page).read_text(encoding="utf-8").split(example + "\n--8<--\n```\n", 1)[1]
    assert shown.split("```\n", 2)[1] == done.stdout


@pytest.mark.parametrize("example", SHOWN, ids=lambda path: path.stem)
def test_the_readme_shows_an_example_as_it_is(example: Path) -> None:
    assert example.read_text(encoding="utf-8").strip() in (ROOT / "README.md").read_text(encoding="utf-8")
