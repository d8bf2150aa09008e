"""`chargehand certificates` and `chargehand ca`: their requests, and their output for the answers."""

import json

import pytest
from click.testing import CliRunner

from chargehand.cli import ca
from chargehand.cli.certificates import NAME
from chargehand.cli.main import main
from chargehand.plugins.authority import Authority
from chargehand.system import certificates
from chargehand.web.certificates import CERTIFICATE_STATES

INSTALLED = {
    "charge_point": "CP1",
    "use": "central_system",
    "serial_number": "1f",
    "hash_algorithm": "SHA256",
    "issuer_name_hash": "aa",
    "issuer_key_hash": "bb",
    "noted_at": "2026-01-01T00:00:00Z",
    "certain": True,
}


pytestmark = pytest.mark.usefixtures("_clean_environment")


@pytest.fixture
def run(stub):
    def run(*arguments):
        return CliRunner().invoke(main, [*arguments, "--url", stub.url])

    return run


def test_installed_certificates_are_a_table_or_json(stub, run):
    stub.body = {"installed_certificates": [INSTALLED], "more": False}
    head, _, line = run("certificates", "list").stdout.splitlines()
    assert head.split()[:3] == ["charge_point", "use", "serial_number"]
    assert line.split()[:3] == ["CP1", "central_system", "1f"]
    assert stub.requests[-1][0] == "/api/v1/installed-certificates?limit=10000"
    assert json.loads(run("certificates", "list", "--charge-point", "CP 1", "--json").stdout) == stub.body
    assert stub.requests[-1][0] == "/api/v1/installed-certificates?limit=10000&charge_point=CP+1"


ISSUED = {
    "serial_number": "1f",
    "charge_point": "CP1",
    "state": "revoked",
    "common_name": "CP1",
    "subject": "CN=CP1",
    "not_after": "2027-01-01T00:00:00Z",
    "issued_at": "2026-01-01T00:00:00Z",
    "reason": "unspecified",
}


def test_issued_certificates_are_a_table_or_json(stub, run):
    stub.body = {"issued_certificates": [ISSUED], "more": False}
    head, _, line = run("ca", "list").stdout.splitlines()
    assert head.split()[:3] == ["serial_number", "charge_point", "state"]
    assert line.split()[:3] == ["1f", "CP1", "revoked"]
    assert (
        json.loads(run("ca", "list", "--charge-point", "CP1", "--state", "revoked", "--json").stdout)
        == stub.body
    )
    assert stub.requests[-1][0] == "/api/v1/issued-certificates?limit=100&charge_point=CP1&state=revoked"


def test_one_issued_certificate_is_shown(stub, run):
    stub.body = ISSUED
    assert "CN=CP1" in run("ca", "show", "1f").stdout
    assert stub.requests[-1][0] == "/api/v1/issued-certificates/1f"


def test_a_certificate_is_revoked_with_author_and_reason(stub, run):
    stub.body = ISSUED
    done = run("ca", "revoke", "1f", "--reason", "key_compromise", "--by", "ann")
    assert (done.exit_code, "revoked" in done.stdout) == (0, True)
    ((path, _, body),) = stub.requests
    assert path == "/api/v1/issued-certificates/1f/revoke"
    assert json.loads(body) == {"by": "ann", "reason": "key_compromise"}
    assert run("ca", "revoke", "1f", "--reason", "boredom").exit_code == 2


def test_the_reasons_and_states_are_those_of_the_server():
    assert ca.REASONS == certificates.REASONS
    assert ca.STATES == CERTIFICATE_STATES


def init(folder, *more, **environment):
    return CliRunner().invoke(main, ["ca", "init", "--folder", str(folder), *more], env=environment)


def test_an_authority_is_made_with_the_passphrase_of_the_environment(tmp_path):
    folder = tmp_path / "ca"
    done = init(folder, CHARGEHAND_CA__PASSPHRASE="a long passphrase")
    assert (done.exit_code, done.stderr) == (0, "")
    assert f'client_crl = "{folder}/crl.pem"' in done.stdout
    assert not Authority.load(folder, b"a long passphrase").slow
    again = init(folder, CHARGEHAND_CA__PASSPHRASE="a long passphrase")
    assert (again.exit_code, "has an authority already" in again.stderr) == (1, True)


def test_an_authority_of_rsa_is_made_with_the_passphrase_of_a_file(tmp_path):
    file = tmp_path / "passphrase"
    file.write_text("a long passphrase\n")
    done = init(tmp_path / "ca", "--passphrase-file", str(file), "--rsa", "2048", "--name", "ACME")
    assert done.exit_code == 0
    made = Authority.load(tmp_path / "ca", b"a long passphrase")
    assert (made.slow, made.root.subject.rfc4514_string()) == (True, "CN=ACME root")


def test_no_authority_is_made_without_folder_passphrase_or_file(tmp_path):
    assert "ca.passphrase: missing" in init(tmp_path / "ca").stderr
    missing = init(tmp_path / "ca", "--passphrase-file", str(tmp_path / "none"))
    assert (missing.exit_code, "ca.passphrase_file: " in missing.stderr) == (2, True)
    nowhere = CliRunner().invoke(main, ["ca", "init"])
    assert (nowhere.exit_code, "give --folder" in nowhere.stderr) == (2, True)
    assert not (tmp_path / "ca").exists()


def test_an_installed_certificate_is_deleted_by_the_name_that_was_reported(stub, run):
    stub.body = {"installed_certificates": [INSTALLED], "more": False, "response": {"status": "Accepted"}}
    stub.body |= {"ticket": "1-1", "state": "answered"}
    done = run("certificates", "delete", "CP1", "00:1F")
    assert (done.exit_code, json.loads(done.stdout)) == (0, {"status": "Accepted"})
    path, _, body = stub.requests[-1]
    assert path.startswith("/api/v1/charge-points/CP1/verbs/delete_certificate")
    assert json.loads(body) == {name: INSTALLED[name] for name in NAME}


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([], "no certificate"),
        ([INSTALLED | {"serial_number": "1e"}], "no certificate"),
        ([INSTALLED | {"issuer_key_hash": ""}], "no certificate"),
        ([INSTALLED, INSTALLED | {"issuer_name_hash": "cc"}], "several certificates"),
    ],
)
def test_a_certificate_whose_name_is_not_known_is_not_deleted(stub, run, rows, text):
    stub.body = {"installed_certificates": rows, "more": False}
    done = run("certificates", "delete", "CP1", "1f")
    assert (done.exit_code, f"CP1 has reported {text} with" in done.stderr) == (1, True)
    assert len(stub.requests) == 1
