"""Security profiles: each one's right and wrong handshakes, names of certificates, raising and lowering."""

import base64
import datetime as dt
import itertools
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargehand import AuthSettings, Settings
from chargehand.actors.runtime.log_limit import LogLimit
from chargehand.actors.runtime.timers import Timers
from chargehand.actors.session.directory import Directory
from chargehand.admission.credentials import Credentials
from chargehand.admission.gatekeeper import Gatekeeper
from chargehand.admission.security_profiles import OTHER_NAME, SecurityProfiles
from chargehand.protocol.x509 import NO_ALTERNATIVE_NAME, Certificate, TlsFacts
from chargehand.store.memory import MemoryStore
from chargehand.store.records import SecurityProfile
from chargehand.testing import ManualClock
from chargehand.transport.gate import Admission, HandshakeRequest, Refusal

NOW = dt.datetime(2026, 5, 4, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


def certificate(*names, serial="", begin=NOW - DAY, end=NOW + DAY, flags=()):
    return Certificate(
        subject=f"CN={names[0] if names else ''}",
        issuer="CN=clients",
        serial_number="1",
        not_before=begin,
        not_after=end,
        key="ECDSA",
        fingerprint="00",
        names=names,
        subject_serial=serial,
        flags=flags,
    )


OWN, OTHERS = certificate("CP1"), certificate("CP2")


class Entrance:
    """Gatekeeper of a server in which CP1 has the password "right", and what it has counted."""

    def __init__(self, *, passwords=True, others=None, serial_numbers=(), pin=None, revoked=(), **auth):
        self.counts = []
        clock = ManualClock()
        context = SimpleNamespace(clock=clock, observer=self, log_limit=LogLimit(Timers(clock)))
        sessions = SimpleNamespace(directory=Directory(), context=context)
        collections = MemoryStore().collections
        given = {"CP1": "right"} if passwords else {}
        settings = Settings(auth=AuthSettings(credentials=given, **auth))
        self.book = collections.security_profiles
        self.profiles = SecurityProfiles(
            settings.auth,
            self.book,
            serial_numbers_of=lambda _: serial_numbers,
            fault_of=lambda _, certificate: "it is revoked" if certificate in revoked else "",
            now=lambda: NOW,
        )
        if pin is not None:
            self.profiles.set("CP1", pin)
        credentials = Credentials(settings.auth.credentials, collections.credentials, required=False)
        self.gatekeeper = Gatekeeper(
            settings, sessions, ["ocpp1.6"], credentials, others, profiles=self.profiles
        )

    def count(self, name, _who):
        self.counts.append(name)

    def knock(self, *, password=None, secure=False, shown=None, identity="CP1"):
        headers = {"sec-websocket-protocol": "ocpp1.6"}
        if password is not None:
            headers["authorization"] = "Basic " + base64.b64encode(f"{identity}:{password}".encode()).decode()
        tls = TlsFacts(version="TLSv1.3", certificate=shown) if secure else None
        return self.gatekeeper.admit(HandshakeRequest(f"/ocpp/{identity}", headers, "192.0.2.1:5", tls))


def outcome(decision):
    return decision.status if isinstance(decision, Refusal) else decision.profile


WAYS = {
    "ws": {},
    "ws, password": {"password": "right"},
    "ws, wrong password": {"password": "wrong"},
    "wss": {"secure": True},
    "wss, password": {"secure": True, "password": "right"},
    "wss, wrong password": {"secure": True, "password": "wrong"},
    "wss, certificate": {"secure": True, "shown": OWN},
    "wss, certificate, wrong password": {"secure": True, "shown": OWN, "password": "wrong"},
    "wss, other certificate": {"secure": True, "shown": OTHERS},
    "wss, other certificate, password": {"secure": True, "shown": OTHERS, "password": "right"},
}
TABLE = {  # by least profile, in the order of WAYS
    0: [401, 1, 401, 401, 2, 401, 3, 3, 401, 2],
    1: [401, 1, 401, 401, 2, 401, 3, 3, 401, 2],
    2: [403, 403, 403, 401, 2, 401, 3, 3, 401, 2],
    3: [403, 403, 403, 403, 403, 403, 3, 3, 403, 403],
}


@pytest.mark.parametrize(
    ("least", "way", "expected"),
    [(least, way, one) for least, row in TABLE.items() for way, one in zip(WAYS, row, strict=True)],
)
@pytest.mark.parametrize("where", ["settings", "store"])
def test_a_profile_lets_in_what_is_as_good_and_nothing_less(where, least, way, expected):
    options = {"security_profile": least} if where == "settings" else {"pin": least}
    assert outcome(Entrance(**options).knock(**WAYS[way])) == expected


@pytest.mark.parametrize(
    ("least", "expected"),
    [(0, [0, 0, 3, 403]), (1, [401, 401, 3, 401]), (2, [403, 401, 3, 401]), (3, [403, 403, 3, 403])],
)
def test_a_charge_point_without_a_password_needs_a_certificate_from_profile_1_on(least, expected):
    entrance = Entrance(passwords=False, pin=least)
    ways = ({}, {"secure": True}, {"secure": True, "shown": OWN}, {"secure": True, "shown": OTHERS})
    assert [outcome(entrance.knock(**way)) for way in ways] == expected


@pytest.mark.parametrize("pin", [0, 1, 2, 3])
@pytest.mark.parametrize("least", [0, 1, 2, 3])
def test_the_higher_of_setting_and_store_counts(pin, least):
    assert Entrance(pin=pin, security_profile=least).profiles.least("CP1") == max(pin, least)


def test_a_refusal_says_which_setting_it_comes_from(caplog):
    entrance = Entrance(pin=2)
    refusal = entrance.knock(password="right")
    assert refusal == Refusal(
        403,
        "charge point CP1 has the least security profile 2 (chargehand charge-points set --security-profile), "
        "and connects without TLS",
    )
    Entrance(pin=2, hide_unknown=True).knock(password="right")
    assert refusal.reason in caplog.text  # the answer does not say it then
    assert entrance.counts == ["security_profile_refused", "handshake_refused_403"]
    assert "(auth.security_profile)" in Entrance(security_profile=3).knock(secure=True).reason
    assert "right" not in caplog.text


def test_unknown_ones_and_those_with_a_profile_can_be_made_alike():
    entrance = Entrance(pin=2, hide_unknown=True)
    assert entrance.knock(password="x") == entrance.knock(identity="unknown", password="x")


def test_a_certificate_lets_in_whom_no_password_is_known_of():
    entrance = Entrance(passwords=True)
    assert outcome(entrance.knock(identity="CP7")) == 404
    assert outcome(entrance.knock(identity="CP7", secure=True, shown=certificate("CP7"))) == 3


def test_what_a_certificate_lacks_is_a_deviation_and_no_refusal():
    shown = certificate("CP1", flags=(NO_ALTERNATIVE_NAME,))
    decision = Entrance(pin=3).knock(secure=True, shown=shown)
    assert isinstance(decision, Admission)
    assert decision.deviations == (NO_ALTERNATIVE_NAME,)
    other = Entrance().knock(secure=True, shown=OTHERS, password="right")
    assert isinstance(other, Admission)
    assert other.deviations == (OTHER_NAME,)


@pytest.mark.parametrize(
    "shown",
    [certificate("CP1", end=NOW - DAY), certificate("CP1", begin=NOW + DAY)],
    ids=["expired", "not yet valid"],
)
def test_a_certificate_counts_while_it_is_valid_also_in_a_resumed_session(shown):
    refusal = Entrance(pin=3).knock(secure=True, shown=shown)
    assert refusal.status == 403
    assert "is not valid at this time" in refusal.reason


# Names


@pytest.mark.parametrize(
    ("auth", "serial_numbers", "shown", "fits"),
    [
        ({}, (), certificate("CP1"), True),
        ({}, (), certificate("x", "CP1"), True),
        ({}, (), certificate("cp1"), False),
        ({}, (), certificate("CP1 "), False),
        ({}, (), certificate("CP"), False),
        ({}, (), certificate("x", serial="CP1"), False),
        ({}, (), certificate(), False),
        ({"certificate_name": "serial_number"}, ("SN1", "BOX1"), certificate("SN1"), True),
        ({"certificate_name": "serial_number"}, ("SN1", "BOX1"), certificate("x", "BOX1"), True),
        ({"certificate_name": "serial_number"}, ("SN1",), certificate("x", serial="SN1"), True),
        ({"certificate_name": "serial_number"}, ("SN1",), certificate("CP1"), False),
        ({"certificate_name": "serial_number"}, (), certificate("SN1"), False),
        ({"certificate_names": {"CP1": "other"}}, (), certificate("other"), True),
        ({"certificate_names": {"CP1": "other"}}, (), certificate("x", serial="other"), True),
        ({"certificate_names": {"CP1": "other"}}, (), certificate("CP1"), False),
        ({"certificate_names": {"CP2": "other"}}, (), certificate("CP1"), True),
    ],
)
def test_a_certificate_names_its_charge_point_by_the_rule_of_the_setting(auth, serial_numbers, shown, fits):
    entrance = Entrance(pin=3, serial_numbers=serial_numbers, **auth)
    assert outcome(entrance.knock(secure=True, shown=shown)) == (3 if fits else 403)


@given(names=st.lists(st.text(max_size=6), max_size=4), id_=st.text(min_size=1, max_size=6))
def test_only_the_exact_name_fits(names, id_):
    profiles = SecurityProfiles(AuthSettings(), MemoryStore().collections.security_profiles, now=lambda: NOW)
    assert (profiles.wrong_name(id_, certificate(*names)) == "") == (id_ in names)


# Raising and lowering


def test_an_accepted_profile_counts_from_the_first_connection_on_it(caplog):
    caplog.set_level("INFO")
    entrance = Entrance(pin=1)
    entrance.book.put(entrance.book.get("CP1").accepted(2, NOW))
    assert outcome(entrance.knock(password="right")) == 1  # the grace
    assert outcome(entrance.knock(password="wrong", secure=True)) == 401
    assert entrance.profiles.least("CP1") == 1
    assert outcome(entrance.knock(password="right", secure=True)) == 2
    assert entrance.profiles.least("CP1") == 2
    assert "has the least security profile 2 from now on" in caplog.text
    assert outcome(entrance.knock(password="right")) == 403


def test_a_connection_above_the_least_profile_raises_nothing_that_was_not_accepted():
    entrance = Entrance(pin=1)
    assert outcome(entrance.knock(secure=True, shown=OWN)) == 3
    assert outcome(entrance.knock(password="right")) == 1


@given(least=st.integers(0, 3), accepted=st.lists(st.integers(0, 3)), shown=st.lists(st.integers(0, 3)))
def test_no_charge_point_ever_lowers_its_profile(least, accepted, shown):
    profiles = SecurityProfiles(AuthSettings(), MemoryStore().collections.security_profiles, now=lambda: NOW)
    profiles.set("CP1", least)
    before = least
    for one, other in itertools.zip_longest(accepted, shown):
        if one is not None:
            profiles._book.put(profiles.stored("CP1").accepted(one, NOW))
        if other is not None:
            profiles.shown("CP1", other)
        assert profiles.least("CP1") >= before
        before = profiles.least("CP1")


def test_a_person_lowers_it_and_what_was_accepted_before_is_forgotten():
    entrance = Entrance(pin=3)
    entrance.profiles.set("CP1", 1)
    assert outcome(entrance.knock(password="right")) == 1
    entrance.book.put(entrance.book.get("CP1").accepted(2, NOW))
    entrance.profiles.set("CP1", 0)
    assert outcome(entrance.knock(password="right", secure=True)) == 2
    assert entrance.profiles.least("CP1") == 0


@pytest.mark.parametrize("number", [-1, 4])
def test_what_is_no_profile_is_refused(number):
    with pytest.raises(ValueError, match="is not a valid Profile"):
        Entrance().profiles.set("CP1", number)


def test_a_network_configuration_counts_when_it_is_tried_first():
    record = SecurityProfile(charge_point_id="CP1", changed_at=NOW, least=1)
    set_ = record.network_changed(NOW, {2: 3})
    assert set_.next is None
    tried = set_.network_changed(NOW, priority=(2, 1))
    assert (tried.next, tried.least) == (3, 1)
    assert record.network_changed(NOW, priority=(1,)).network_changed(NOW, {1: 2}).next == 2
    assert record.network_changed(NOW, {1: 1, 2: 2}, (1, 2)).next is None


class OtherProcess:
    """Another process that has changed the profile, which is known once it is asked."""

    def __init__(self):
        self.change = lambda: None

    def admit(self, _charge_point_id):
        self.change()

    def refresh(self, _charge_point_id):
        self.change()


@pytest.mark.parametrize(("before", "after", "expected"), [(1, 2, 403), (2, 1, 1)])
def test_what_another_process_has_changed_a_moment_ago_counts(before, after, expected):
    other = OtherProcess()
    entrance = Entrance(pin=before, others=other)
    other.change = lambda: entrance.profiles.set("CP1", after)
    assert outcome(entrance.knock(password="right")) == expected


@pytest.mark.parametrize("least", [0, 2, 3])
@pytest.mark.parametrize("password", [None, "right"])
def test_a_revoked_certificate_is_refused_whatever_else_is_shown(least, password):
    entrance = Entrance(pin=least, revoked=(OWN,))
    decision = entrance.knock(secure=True, shown=OWN, password=password)
    assert outcome(decision) == 403
    assert "shows certificate 1: it is revoked" in decision.reason
    assert outcome(entrance.knock(secure=True, password="right")) == (403 if least == 3 else 2)
