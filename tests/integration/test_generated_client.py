"""A client that openapi-python-client makes of `/api/v1/openapi.json` talks to a real server."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .process import until
from .stations import station

GENERATOR = "openapi-python-client==0.29.1"
FOLDER = Path(__file__).parents[2] / ".venv/openapi-client"
"""Place of the generator and of what its clients need, apart from what the project needs."""
INSTALL_S, GENERATE_S, ASK_S = 120, 120, 60

SCRIPT = """
import sys
from generated import AuthenticatedClient
from generated.api.charge_points import get_charge_point, list_charge_points
from generated.api.commands import do_unlock, list_tickets, send_reset
from generated.api.transactions import list_transactions
from generated.models import Ocpp16Reset, Ocpp16ResetType, Problem, Unlock

url, token = sys.argv[1:]
with AuthenticatedClient(base_url=url, token=token) as client:
    page = list_charge_points.sync(client=client, q="GEN-", connected=True)
    (row,) = page.charge_points
    assert (row.id, row.version, row.connected, page.more) == ("GEN-1", "1.6", True, False), row
    assert [one.connector for one in row.connectors][-1] >= 1
    one = get_charge_point.sync("GEN-1", client=client)
    assert one.boot["chargePointVendor"]
    outcome = send_reset.sync("GEN-1", client=client, body=Ocpp16Reset(type_=Ocpp16ResetType.SOFT))
    assert (outcome.state, outcome.response["status"]) == ("answered", "Accepted"), outcome
    (ticket,) = list_tickets.sync(client=client, charge_point="GEN-1").tickets
    assert (ticket.ticket, ticket.action) == (outcome.ticket, "Reset")
    page = list_transactions.sync(client=client, charge_point="GEN-1")
    assert all(one.energy_wh is None or one.energy_wh >= 0 for one in page.transactions)
    problem = get_charge_point.sync("NOBODY", client=client)
    assert isinstance(problem, Problem) and (problem.status, problem.title) == (404, "Unknown charge point")
    problem = do_unlock.sync("NOBODY", client=client, body=Unlock(evse=1))
    assert isinstance(problem, Problem) and problem.status == 404
print("the generated client works")
"""


@pytest.fixture(scope="module")
def generator() -> Path:
    """Install the generator, once, apart from everything else; skip where that cannot be done."""
    if not (FOLDER / "openapi_python_client").is_dir():
        if importlib.util.find_spec("pip") is None:
            pytest.skip("the generator of clients cannot be installed: there is no pip")
        # Not compiled: most of its modules are never imported.
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile"]
        command += ["--target", str(FOLDER), GENERATOR]
        try:
            done = subprocess.run(command, timeout=INSTALL_S, capture_output=True, text=True, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip(f"the generator of clients was not installed within {INSTALL_S} s")
        if done.returncode:
            pytest.skip(f"the generator of clients cannot be installed: {done.stderr[-300:]}")
    return FOLDER


def test_a_generated_client_reads_commands_and_understands_problems(generator, server, tmp_path):
    described = tmp_path / "openapi.json"
    described.write_text(server.ask("GET", "/api/v1/openapi.json").text)
    environment = os.environ | {"PYTHONPATH": f"{generator}{os.pathsep}{tmp_path}"}
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none"]
    command += ["--path", str(described), "--output-path", str(tmp_path / "generated")]
    made = subprocess.run(
        command, env=environment, timeout=GENERATE_S, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stdout[-2000:] + made.stderr[-2000:]
    # It knows no lines of JSON: the recording is left to other clients.
    assert made.stderr.count("WARNING parsing") == 1, made.stderr[-3000:]
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    path = "/api/v1/charge-points?id=GEN-1&fields=connectors"

    def charges() -> bool:
        rows = server.ask("GET", path).json["charge_points"]
        return any(one["connector"] for row in rows for one in row["connectors"])

    with station(server, "GEN-1"):
        until(charges, "GEN-1 has told no status", 60)
        command = [sys.executable, str(script), server.http, server.token]
        done = subprocess.run(
            command, env=environment, timeout=ASK_S, capture_output=True, text=True, check=False
        )
    assert (done.returncode, done.stdout) == (0, "the generated client works\n"), done.stderr[-3000:]
