"""Requests about certificates are answered honestly by default, and by a plugin that claims them."""

import pytest

from chargehand import Call, Plugin, passive, v16, v201
from chargehand.plugins.back_office import BackOffice
from chargehand.plugins.back_office_201 import BackOffice201
from chargehand.protocol.session import SessionRules
from chargehand.testing import Stage

HASHES = {"hashAlgorithm": "SHA256", "issuerNameHash": "a", "issuerKeyHash": "b", "serialNumber": "1"}
REQUESTS = {
    "SignCertificate": {"csr": "C"},
    "Get15118EVCertificate": {"iso15118SchemaVersion": "urn:2", "action": "Install", "exiRequest": "AA=="},
    "GetCertificateStatus": {"ocspRequestData": HASHES | {"responderURL": "http://ocsp.example"}},
}


class Vehicles(Plugin):
    @passive("SignCertificate")
    def sign(self, call: Call) -> dict[str, str]:
        return {"status": "Accepted"}

    @passive(v201.Get15118EVCertificate)
    def contract(self, call: Call) -> v201.Get15118EVCertificateResponse:
        status = v201.Iso15118EVCertificateStatus.ACCEPTED
        return v201.Get15118EVCertificateResponse(status=status, exi_response=call.request.exi_request)

    @passive(v201.GetCertificateStatus)
    def status(self, call: Call) -> v201.GetCertificateStatusResponse:
        status = v201.GetCertificateStatusResult.ACCEPTED
        return v201.GetCertificateStatusResponse(
            status=status, ocsp_result=call.request.ocsp_request_data.responder_url
        )


@pytest.fixture
def answers(store, clock, now):
    """Answers to the requests of a version, with these plugins in front of the back office."""

    def answers(ocpp, *plugins):
        office = BackOffice if ocpp is v16 else BackOffice201
        specs = [*(plugin.spec() for plugin in plugins), office.spec(store, now=now)]
        with Stage(*specs, store=store, clock=clock, rules=SessionRules(version=ocpp.VERSION)) as stage:
            station = stage.connect("CP1")
            known = [name for name in REQUESTS if name in ocpp.VERSION.actions]
            return {name: station.call(name, REQUESTS[name])[2] for name in known}

    return answers


def test_without_a_plugin_nothing_about_certificates_is_promised(answers):
    assert answers(v16) == {"SignCertificate": {"status": "Rejected"}}
    assert answers(v201) == {
        "SignCertificate": {"status": "Rejected"},
        "Get15118EVCertificate": {"status": "Failed", "exiResponse": ""},
        "GetCertificateStatus": {"status": "Failed"},
    }


def test_a_plugin_answers_what_it_claims_about_certificates(answers):
    assert answers(v16, Vehicles) == {"SignCertificate": {"status": "Accepted"}}
    assert answers(v201, Vehicles) == {
        "SignCertificate": {"status": "Accepted"},
        "Get15118EVCertificate": {"status": "Accepted", "exiResponse": "AA=="},
        "GetCertificateStatus": {"status": "Accepted", "ocspResult": "http://ocsp.example"},
    }
