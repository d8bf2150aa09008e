"""Admission: by path, credentials and subprotocol, within the limits of the server."""

import base64
import logging
from types import SimpleNamespace

import gevent
import pytest

from chargehand import AuthSettings, SessionSettings, Settings, StoreError
from chargehand.actors.runtime.log_limit import LogLimit
from chargehand.actors.runtime.timers import Timers
from chargehand.actors.session.charge_point import ChargePoint
from chargehand.actors.session.directory import Directory
from chargehand.admission.credentials import Credentials
from chargehand.admission.gatekeeper import DIGITS_SENT, Gatekeeper
from chargehand.admission.security_profiles import Profile, Proof, SecurityProfiles
from chargehand.protocol.deflate import Deflate
from chargehand.store.memory import MemoryStore
from chargehand.testing import ManualClock
from chargehand.transport.gate import Admission, HandshakeRequest, Refusal

SPOKEN = {"sec-websocket-protocol": "ocpp1.6"}


class Sessions:
    """Stub with the part of the sessions that a gatekeeper uses."""

    def __init__(self):
        self.directory = Directory()
        self.attached = []
        self.alive = set()
        self.counts = []
        clock = ManualClock()
        self.context = SimpleNamespace(clock=clock, observer=self, log_limit=LogLimit(Timers(clock)))

    def count(self, name, who):
        self.counts.append((name, who))

    def attach(self, *arguments):
        self.attached.append(arguments)
        return "the cell"

    def ping_and_wait(self, charge_point_id, timeout_s):
        return charge_point_id in self.alive

    def connect(self, id_):
        self.directory.add(SimpleNamespace(charge_point=ChargePoint(id_), newest=object()))


@pytest.fixture
def sessions():
    return Sessions()


@pytest.fixture
def make(sessions):
    """Make a gatekeeper with given settings."""

    def make(*, path="/ocpp/{id}", auth=None, others=None, policy="lenient", compressed=(), **limits):
        settings = Settings(
            path=path, auth=auth or AuthSettings(), policy=policy, sessions=SessionSettings(**limits)
        )
        credentials = Credentials(
            settings.auth.credentials, MemoryStore().collections.credentials, required=settings.auth.required
        )
        profiles = SecurityProfiles(settings.auth, MemoryStore().collections.security_profiles)
        return Gatekeeper(
            settings, sessions, ["ocpp1.6"], credentials, others, compressed=compressed, profiles=profiles
        )

    return make


def knock(gatekeeper, path="/ocpp/CP1", peer="peer", tls=None, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return gatekeeper.admit(HandshakeRequest(path=path, headers=named or SPOKEN, peer=peer, tls=tls))


def basic(name, password):
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def test_a_charge_point_is_let_in_by_its_path_and_its_subprotocol(make):
    assert knock(make()) == Admission("CP1", "", "ocpp1.6")


@pytest.mark.parametrize(
    ("template", "path", "identity", "name"),
    [
        ("/ocpp/{id}", "/ocpp/RDAM%7C123", "RDAM|123", ""),
        ("/ocpp/{id}", "///ocpp//CP1/", "CP1", ""),
        ("/{name}/{id}", "/shop/CP1", "CP1", "shop"),
        ("/{id}", "/a+b%20c", "a+b c", ""),
    ],
)
def test_the_path_names_the_charge_point(make, template, path, identity, name):
    assert knock(make(path=template), path) == Admission(identity, name, "ocpp1.6")


def test_a_path_that_is_not_of_the_template_is_404_and_says_what_it_should_be(make):
    refusal = knock(make(), "/elsewhere/CP1")
    assert (refusal.status, refusal.reason) == (404, "the path names no charge point; expected /ocpp/{id}")


def test_a_path_that_cannot_be_read_is_400(make):
    assert knock(make(), "/ocpp/%FF").status == 400


# Credentials


AUTH = AuthSettings(credentials={"CP1": "right", "a:b": "with:colon"}, realm="here")


@pytest.mark.parametrize(
    ("identity", "authorization", "status"),
    [
        ("CP1", basic("CP1", "right"), None),
        ("a:b", basic("a:b", "with:colon"), None),
        ("CP1", basic("CP1", "wrong"), 401),
        ("CP1", basic("CP2", "right"), 401),
        ("CP1", "", 401),
        ("CP1", "Basic !!!", 401),
        ("unknown", basic("unknown", "right"), 404),
    ],
)
def test_credentials_decide(make, identity, authorization, status):
    answer = knock(
        make(auth=AUTH), f"/ocpp/{identity}", authorization=authorization, sec_websocket_protocol="ocpp1.6"
    )
    if status is None:
        assert answer == Admission(identity, "", "ocpp1.6", profile=1)
    else:
        assert answer.status == status


def test_with_credentials_required_nobody_comes_in_without_though_none_are_settled(make):
    assert knock(make(auth=AuthSettings(required=True))).status == 404


def test_a_401_asks_for_basic_authentication_in_the_realm(make):
    assert knock(make(auth=AUTH)).headers == (("WWW-Authenticate", 'Basic realm="here"'),)


def test_unknown_and_wrong_can_be_made_alike(make):
    auth = AuthSettings(credentials={"CP1": "right"}, hide_unknown=True)
    gatekeeper = make(auth=auth)
    unknown = knock(gatekeeper, "/ocpp/unknown", authorization=basic("unknown", "x"))
    wrong = knock(gatekeeper, "/ocpp/CP1", authorization=basic("CP1", "x"))
    assert unknown == wrong


# Subprotocols


@pytest.mark.parametrize(
    ("offered", "status"),
    [("ocpp1.6", None), ("ocpp2.0.1, ocpp1.6", None), ("ocpp2.0.1", 400), ("xocpp1.6", 400)],
)
def test_a_subprotocol_in_common_is_needed(make, offered, status):
    answer = knock(make(), sec_websocket_protocol=offered)
    assert (answer.status if isinstance(answer, Refusal) else None) == status


def test_a_missing_one_is_refused_unless_the_charge_point_is_known_for_it(make):
    assert knock(make(), other="header").status == 400
    gatekeeper = make(assume_subprotocol=("CP1",))
    assert knock(gatekeeper, other="header") == Admission("CP1", "", "ocpp1.6")
    assert knock(gatekeeper, "/ocpp/CP2", other="header").status == 400
    assert knock(make(assume_subprotocol=("*",)), "/ocpp/CP2", other="header").subprotocol == "ocpp1.6"


def test_a_wrong_one_is_not_mended_by_an_assumption(make):
    assert knock(make(assume_subprotocol=("*",)), sec_websocket_protocol="ocpp2.0.1").status == 400


def test_by_a_setting_the_handshake_is_completed_without_one(make):
    answer = knock(make(handshake_without_subprotocol="close"), sec_websocket_protocol="ocpp2.0.1")
    assert answer == Admission("CP1", "", None)


# Room


def test_one_that_is_closed_admits_nobody(make):
    gatekeeper = make()
    gatekeeper.close()
    refusal = knock(gatekeeper)
    assert (refusal.status, refusal.headers) == (503, (("Retry-After", "5"),))


def test_there_is_room_for_so_many_connections_and_no_more(make, sessions):
    gatekeeper = make(max_connections=2)
    sessions.connect("A")
    assert isinstance(knock(gatekeeper), Admission)
    sessions.connect("B")
    assert knock(gatekeeper).status == 503


def test_one_that_takes_over_from_itself_needs_no_room(make, sessions):
    gatekeeper = make(max_connections=2)
    sessions.connect("CP1")
    sessions.connect("B")
    assert isinstance(knock(gatekeeper), Admission)
    assert knock(gatekeeper, "/ocpp/CP2").status == 503


def test_those_who_are_away_take_no_room(make, sessions):
    gatekeeper = make(max_connections=1)
    sessions.connect("A")
    sessions.directory.find("A").newest = None
    sessions.directory.note_offline("A", 1.0)
    assert isinstance(knock(gatekeeper), Admission)


def test_too_many_at_once_are_sent_away_for_a_while(make, sessions):
    gatekeeper = make(admission_rate=1.0, admission_burst=2)
    assert [isinstance(knock(gatekeeper), Admission) for _ in range(3)] == [True, True, False]
    refusal = knock(gatekeeper)
    assert refusal.status == 503
    ((name, seconds),) = refusal.headers
    assert name == "Retry-After"
    assert 1 <= int(seconds) <= 12
    sessions.context.clock.advance(1)
    assert isinstance(knock(gatekeeper), Admission)


def test_strangers_do_not_use_up_what_charge_points_wait_for(make, sessions):
    gatekeeper = make(auth=AUTH, admission_rate=1.0, admission_burst=1, max_connections=1)
    known = {"authorization": basic("CP1", "right"), **SPOKEN}
    sessions.connect("B")
    assert [knock(gatekeeper, "/elsewhere").status for _ in range(5)] == [404] * 5
    assert [knock(gatekeeper, "/ocpp/%ff").status for _ in range(5)] == [400] * 5
    assert [knock(gatekeeper).status for _ in range(5)] == [401] * 5
    assert [knock(gatekeeper, **known).status for _ in range(5)] == [503] * 5, "there is no room"
    sessions.directory.remove("B")
    assert isinstance(knock(gatekeeper, **known), Admission)
    assert knock(gatekeeper, **known).reason == "too many charge points connect at once"


def test_by_a_setting_a_second_connection_is_refused_while_the_first_one_lives(make, sessions):
    gatekeeper = make(on_duplicate="refuse")
    sessions.alive.add("CP1")
    assert knock(gatekeeper).status == 409
    assert isinstance(knock(gatekeeper, "/ocpp/CP2"), Admission)
    sessions.alive.clear()
    assert isinstance(knock(gatekeeper), Admission)


# What it does beside


def test_every_refusal_is_counted_by_its_status(make, sessions):
    gatekeeper = make(auth=AUTH)
    knock(gatekeeper, "/elsewhere")
    knock(gatekeeper)
    assert sessions.counts == [("handshake_refused_404", "peer"), ("handshake_refused_401", "peer")]


def test_a_connection_is_attached_to_its_charge_point(make, sessions):
    assert make().attach(Admission("CP1", "shop", "ocpp1.6"), "the connection") == "the cell"
    assert sessions.attached == [("CP1", "shop", "the connection")]


KEY = "00112233445566778899aabbccddeeff00112233"


def test_the_digits_of_a_key_let_in_under_the_lenient_policy_and_are_a_deviation(make):
    gatekeeper = make(auth=AuthSettings(credentials={"CP1": f"hex:{KEY}"}))
    decision = knock(gatekeeper, authorization=basic("CP1", KEY), **SPOKEN)
    assert decision == Admission("CP1", "", "ocpp1.6", (DIGITS_SENT,), profile=1)
    noted = []
    cell = SimpleNamespace(note_deviations=noted.extend)
    gatekeeper._sessions.attach = lambda *_: cell
    gatekeeper.attach(decision, object())
    assert noted == [DIGITS_SENT]


def test_the_digits_of_a_key_are_a_wrong_password_under_the_strict_policy(make):
    gatekeeper = make(auth=AuthSettings(credentials={"CP1": f"hex:{KEY}"}), policy="strict")
    assert knock(gatekeeper, authorization=basic("CP1", KEY), **SPOKEN).status == 401


def test_a_flood_of_refusals_from_one_address_writes_a_few_lines(make, caplog):
    caplog.set_level("INFO")
    gatekeeper = make()
    for port in range(100):
        gatekeeper.handshake_refused(f"192.0.2.1:{port}", Refusal(404, "unknown"))
    gatekeeper.handshake_refused("192.0.2.2:1", Refusal(404, "unknown"))
    assert len(caplog.messages) == 11


@pytest.mark.parametrize("identity", ["x" * 256, "CP%E2%80%AE1", "CP%001"])
def test_an_identity_that_no_charge_point_may_have_is_400_with_the_reason(make, identity):
    refusal = knock(make(), f"/ocpp/{identity}")
    assert refusal.status == 400
    assert "identity" in refusal.reason


def test_a_failed_handshake_is_one_line_and_is_counted(make, sessions, caplog):
    make().handshake_failed("peer", "TLS: no shared cipher")
    assert caplog.messages == ["peer: TLS: no shared cipher"]
    assert sessions.counts == [("handshake_failed", "peer")]


# Other processes that share the charge points


class OtherProcesses:
    def __init__(self, error=None):
        self.error = error
        self.asked = []

    def admit(self, identity):
        self.asked.append(identity)
        if self.error is not None:
            raise self.error

    def attached(self, identity):
        self.asked.append(f"attached {identity}")

    def refresh(self, identity):
        self.asked.append(f"refresh {identity}")
        if self.error is not None:
            raise self.error


def stored_key(gatekeeper, password):
    """Store a key of CP1, as another process does."""
    gatekeeper._credentials.set_password("CP1", password)


def test_a_new_key_that_another_process_has_stored_is_known_at_the_next_connection(make):
    others = OtherProcesses()
    gatekeeper = make(others=others)
    stored_key(gatekeeper, b"the old key, 16 bytes")
    others.refresh = lambda _: stored_key(gatekeeper, b"the new key, 16 bytes")
    decision = knock(gatekeeper, authorization=basic("CP1", "the new key, 16 bytes"), **SPOKEN)
    assert isinstance(decision, Admission)


def test_an_old_key_that_another_process_has_replaced_is_refused(make):
    others = OtherProcesses()
    gatekeeper = make(others=others)
    stored_key(gatekeeper, b"the old key, 16 bytes")
    others.admit = lambda _: stored_key(gatekeeper, b"the new key, 16 bytes")
    decision = knock(gatekeeper, authorization=basic("CP1", "the old key, 16 bytes"), **SPOKEN)
    assert decision.status == 401


def test_a_wrong_password_stays_wrong_when_the_store_is_away(make):
    gatekeeper = make(others=OtherProcesses(StoreError("away")))
    stored_key(gatekeeper, b"the old key, 16 bytes")
    assert knock(gatekeeper, authorization=basic("CP1", "wrong"), **SPOKEN).status == 401


def test_a_charge_point_is_claimed_before_admission_and_its_tickets_come_after(make):
    others = OtherProcesses()
    gatekeeper = make(others=others)
    admission = knock(gatekeeper)
    assert admission == Admission("CP1", "", "ocpp1.6")
    assert others.asked == ["CP1"]
    gatekeeper.attach(admission, object())
    assert others.asked == ["CP1", "attached CP1"]


def test_whoever_is_refused_anyway_is_not_claimed(make):
    others = OtherProcesses()
    gatekeeper = make(others=others, auth=AuthSettings(credentials={"CP1": "secret word"}))
    assert knock(gatekeeper).status == 401
    assert knock(make(others=others), sec_websocket_protocol="none").status == 400
    assert others.asked == []


@pytest.mark.parametrize("error", [StoreError("away"), TimeoutError("silent")])
def test_with_the_store_away_nobody_is_let_in_whom_others_may_have_had(make, sessions, error):
    refusal = knock(make(others=OtherProcesses(error)))
    assert refusal.status == 503
    assert int(dict(refusal.headers)["Retry-After"]) >= 1
    assert sessions.counts == [("handshake_refused_503", "peer")]


# Those who come too often


def test_a_charge_point_that_connects_too_often_is_told_when_to_come_back(make, sessions):
    gatekeeper = make(reconnect_rate=0.1, reconnect_burst=3)
    assert [type(knock(gatekeeper)) for _ in range(3)] == [Admission] * 3
    refusal = knock(gatekeeper)
    assert (refusal.status, refusal.headers) == (429, (("Retry-After", "10"),))
    assert sessions.counts == [("handshake_refused_429", "peer")]
    assert isinstance(knock(gatekeeper, "/ocpp/CP2"), Admission)
    sessions.context.clock.advance(10)
    assert isinstance(knock(gatekeeper), Admission)
    assert knock(gatekeeper).status == 429


def test_a_stranger_cannot_use_up_what_a_charge_point_may(make):
    gatekeeper = make(auth=AUTH, reconnect_rate=0.1, reconnect_burst=1)
    for _ in range(5):
        assert knock(gatekeeper, authorization=basic("CP1", "wrong")).status == 401
    right = {"authorization": basic("CP1", "right"), "sec_websocket_protocol": "ocpp1.6"}
    assert isinstance(knock(gatekeeper, **right), Admission)


def test_those_turned_away_while_all_come_at_once_may_still_come(make, sessions):
    gatekeeper = make(admission_rate=1, admission_burst=1, reconnect_rate=0.01, reconnect_burst=1)
    assert isinstance(knock(gatekeeper), Admission)
    assert [knock(gatekeeper, "/ocpp/CP2").status for _ in range(5)] == [503] * 5
    assert [knock(gatekeeper).status for _ in range(5)] == [429] * 5  # which costs the others nothing
    sessions.context.clock.advance(1)
    assert isinstance(knock(gatekeeper, "/ocpp/CP2"), Admission)


def test_a_stranger_elsewhere_cannot_use_it_up_where_no_password_is_asked(make):
    gatekeeper = make(reconnect_rate=0.1, reconnect_burst=2)
    for _ in range(5):
        knock(gatekeeper, peer="198.51.100.1:1")
    assert knock(gatekeeper, peer="198.51.100.1:2").status == 429
    assert isinstance(knock(gatekeeper, peer="192.0.2.1:1"), Admission)


def test_who_is_turned_away_because_the_store_is_away_has_not_come(make):
    away = [True]

    class OtherProcesses:
        def admit(self, charge_point_id):
            if away[0]:
                raise StoreError("it is away")

        def attached(self, charge_point_id):
            raise AssertionError("nobody was attached")

    gatekeeper = make(others=OtherProcesses(), reconnect_rate=0.1, reconnect_burst=1)
    assert [knock(gatekeeper).status for _ in range(5)] == [503] * 5
    away[0] = False
    assert isinstance(knock(gatekeeper), Admission)


def test_a_crowd_that_waits_for_the_probe_of_the_old_connection_is_counted_too(make, sessions):
    gatekeeper = make(reconnect_rate=0.1, reconnect_burst=2, on_duplicate="refuse")
    sessions.answers = lambda charge_point_id, timeout_s: bool(gevent.sleep(0))
    crowd = [gevent.spawn(knock, gatekeeper) for _ in range(10)]
    decisions = [greenlet.get(timeout=60) for greenlet in crowd]
    assert sum(isinstance(decision, Admission) for decision in decisions) == 2


def test_the_rate_holds_though_greenlets_switch_while_passwords_are_looked_at(make, sessions, monkeypatch):
    gatekeeper = make(admission_rate=1, admission_burst=1)

    def check(request, identity):
        gevent.sleep(0)
        return Proof(Profile.NONE)

    monkeypatch.setattr(gatekeeper, "_check_credentials", check)
    admitted = 0
    for number in range(50):
        early = gevent.spawn(knock, gatekeeper, f"/ocpp/EARLY{number}")
        gevent.sleep(0)
        sessions.context.clock.advance(0.1)
        late = gevent.spawn(knock, gatekeeper, f"/ocpp/LATE{number}")
        admitted += sum(isinstance(greenlet.get(timeout=60), Admission) for greenlet in (early, late))
    assert admitted <= 6


# Compression


OFFERED = {"sec-websocket-protocol": "ocpp1.6", "sec-websocket-extensions": "permessage-deflate"}


def test_compression_is_agreed_on_for_the_versions_that_have_it_alone(make):
    assert knock(make(), **OFFERED).compression is None
    compression = knock(make(compressed=["ocpp1.6"]), **OFFERED).compression
    assert compression.deflate == Deflate(server_bits=12)
    assert compression.header.endswith("; server_no_context_takeover; client_no_context_takeover")


def test_compression_is_not_agreed_on_unless_it_is_offered(make):
    assert knock(make(compressed=["ocpp1.6"])).compression is None
    declined = {**OFFERED, "sec-websocket-extensions": "permessage-deflate; unheard_of"}
    assert knock(make(compressed=["ocpp1.6"]), **declined).compression is None


def test_the_settings_of_compression_are_those_of_the_agreement(make):
    gatekeeper = make(
        compressed=["ocpp1.6"],
        compression_takeover=True,
        compression_window_bits=10,
        compression_min_bytes=77,
    )
    agreed = Deflate(server_takeover=True, client_takeover=True, server_bits=10, min_bytes=77)
    assert knock(gatekeeper, **OFFERED).compression.deflate == agreed


def test_without_a_subprotocol_in_common_there_is_no_compression(make):
    gatekeeper = make(compressed=["ocpp1.6"], handshake_without_subprotocol="close")
    admission = knock(gatekeeper, **{**OFFERED, "sec-websocket-protocol": "soap"})
    assert (admission.subprotocol, admission.compression) == (None, None)


class Applicants:
    """List of charge points to which anybody gets, and those that are known."""

    decides = False

    def __init__(self, *known):
        self.known = set(known)

    def is_known(self, charge_point_id):
        return charge_point_id in self.known


@pytest.fixture
def open_gate(make, sessions):
    """Make a gatekeeper that lets in whom nobody has entered, two in a day."""

    def open_gate(*known, **auth):
        gatekeeper = make(auth=AuthSettings(unknown_per_day=2, **auth))
        gatekeeper._applicants = Applicants(*known)
        return gatekeeper

    return open_gate


def test_so_many_charge_points_that_nobody_has_entered_may_come_in_a_day(open_gate, sessions):
    gatekeeper = open_gate("CP1")
    for id_ in ("A", "B"):
        assert isinstance(knock(gatekeeper, f"/ocpp/{id_}"), Admission)
    refusal = knock(gatekeeper, "/ocpp/C")
    assert (refusal.status, refusal.detail) == (429, "auth.unknown_per_day")
    assert ("unknown_limited", "C") in sessions.counts
    assert isinstance(knock(gatekeeper), Admission)  # which is known
    sessions.context.clock.advance(43_200)
    assert isinstance(knock(gatekeeper, "/ocpp/C"), Admission)


def test_one_that_is_here_already_is_no_stranger(open_gate, sessions):
    gatekeeper = open_gate()
    sessions.connect("A")
    for _ in range(5):
        assert isinstance(knock(gatekeeper, "/ocpp/A"), Admission)
    assert [isinstance(knock(gatekeeper, f"/ocpp/{id_}"), Admission) for id_ in "BCD"] == [True, True, False]


def test_one_that_has_booted_at_another_process_is_no_stranger(open_gate):
    gatekeeper = open_gate()
    gatekeeper._others = OtherProcesses()
    gatekeeper._others.refresh = gatekeeper._applicants.known.add
    for number in range(5):
        assert isinstance(knock(gatekeeper, f"/ocpp/CP{number}"), Admission)


def test_a_stranger_too_many_is_not_claimed_for_this_process(open_gate):
    gatekeeper, claimed = open_gate(), []
    gatekeeper._others = OtherProcesses()
    gatekeeper._others.admit = claimed.append
    for number in range(5):
        knock(gatekeeper, f"/ocpp/CP{number}")
    assert claimed == ["CP0", "CP1"]


def test_one_with_the_right_password_is_no_stranger(open_gate):
    gatekeeper = open_gate(credentials={f"CP{number}": "right" for number in range(5)})
    for number in range(5):
        headers = {"authorization": basic(f"CP{number}", "right"), "sec_websocket_protocol": "ocpp1.6"}
        assert isinstance(knock(gatekeeper, f"/ocpp/CP{number}", **headers), Admission)


def test_a_conformance_suite_that_reconnects_all_the_time_is_let_in(make, sessions):
    gatekeeper = make()
    for _ in range(76):
        sessions.context.clock.advance(20 / 76)
        assert isinstance(knock(gatekeeper), Admission)


def test_a_flood_of_connections_of_one_charge_point_is_stopped_by_default(make, sessions):
    gatekeeper, admitted = make(), 0
    for _ in range(1000):
        sessions.context.clock.advance(0.01)
        admitted += isinstance(knock(gatekeeper), Admission)
    assert admitted == 104  # the burst, and one in two seconds


def test_the_log_shows_the_beginning_of_a_long_identity(make, caplog):
    caplog.set_level(logging.INFO)
    refusal = Refusal(404, "unknown", identity="x" * 4000)
    make(identity_chars=4000).handshake_refused("192.0.2.1:1", refusal)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == f"192.0.2.1:1: charge point {'x' * 100}... (4000 characters): 404 unknown"
