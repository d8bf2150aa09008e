"""Wrong passwords are limited, and the right one gets in."""

import base64
import logging

import pytest

from chargehand import AuthSettings
from chargehand.admission.failed_logins import FailedLogins
from chargehand.transport.gate import Admission

from .test_gatekeeper import SPOKEN, Sessions, knock, make, sessions

__all__ = ["Sessions", "make", "sessions"]

SHORT, LONG = "short", "a key that nobody guesses"
AUTH = AuthSettings(
    credentials={"CP1": SHORT, "CP2": LONG, "CP3": SHORT},
    failed_logins=3,
    failed_logins_per_address=8,
    failed_logins_per_id=6,
)


def login(gatekeeper, name, password, address):
    basic = base64.b64encode(f"{name}:{password}".encode()).decode()
    return knock(
        gatekeeper, f"/ocpp/{name}", f"{address}:7", authorization=f"Basic {basic}", **{
            key.replace("-", "_"): value for key, value in SPOKEN.items()
        }
    )  # fmt: skip


def statuses(gatekeeper, name, password, address, times):
    found = [login(gatekeeper, name, password, address) for _ in range(times)]
    return [101 if isinstance(one, Admission) else one.status for one in found]


def test_wrong_passwords_of_an_address_are_unread_beyond_the_limit_and_others_get_in(make, sessions):
    gatekeeper = make(auth=AUTH)
    assert statuses(gatekeeper, "CP1", "wrong", "192.0.2.1", 6) == [401, 401, 401, 429, 429, 429]
    assert statuses(gatekeeper, "CP1", SHORT, "192.0.2.1", 1) == [429]
    assert statuses(gatekeeper, "CP1", SHORT, "192.0.2.2", 1) == [101]
    assert statuses(gatekeeper, "CP3", SHORT, "192.0.2.1", 1) == [101]
    sessions.context.clock.advance(20.1)  # a third of a minute for each of three
    assert statuses(gatekeeper, "CP1", SHORT, "192.0.2.1", 1) == [101]
    assert [name for name, _ in sessions.counts].count("login_failed") == 3
    assert [name for name, _ in sessions.counts].count("login_limited") == 4


def test_an_address_that_tries_many_charge_points_is_limited_for_all_of_them(make):
    gatekeeper = make(auth=AUTH)
    for number in range(8):
        assert statuses(gatekeeper, f"X{number}", "wrong", "192.0.2.1", 1) == [404]
    assert statuses(gatekeeper, "X9", "wrong", "192.0.2.1", 1) == [429]
    assert statuses(gatekeeper, "CP3", SHORT, "192.0.2.2", 1) == [101]


def test_guesses_from_many_addresses_are_limited_for_a_key_that_is_short(make, sessions):
    gatekeeper = make(auth=AUTH)
    sessions.connect("CP1")
    sessions.directory.find("CP1").charge_point.peer = "192.0.2.77:1"
    for number in range(6):
        assert statuses(gatekeeper, "CP1", "wrong", f"192.0.2.{number}", 1) == [401]
    assert statuses(gatekeeper, "CP1", "wrong", "192.0.2.99", 1) == [429]
    assert statuses(gatekeeper, "CP1", SHORT, "192.0.2.77", 1) == [101]


def test_a_long_key_gets_in_from_anywhere_while_many_addresses_guess(make):
    gatekeeper = make(auth=AUTH)
    for number in range(20):
        assert statuses(gatekeeper, "CP2", "wrong", f"192.0.2.{number}", 1) == [401]
    assert statuses(gatekeeper, "CP2", LONG, "192.0.2.99", 1) == [101]


def test_a_refusal_says_when_to_come_again_and_its_line_names_the_setting(make, caplog):
    gatekeeper = make(auth=AUTH)
    for _ in range(4):
        refusal = login(gatekeeper, "CP1", "wrong", "192.0.2.1")
    assert int(dict(refusal.headers)["Retry-After"]) >= 20
    with caplog.at_level(logging.INFO):
        gatekeeper.handshake_refused("192.0.2.1:7", refusal)
    assert "charge point CP1" in caplog.text
    assert "(auth.failed_logins)" in caplog.text
    assert "auth." not in refusal.reason


def test_a_handshake_without_a_password_costs_nothing_and_counts_for_nothing(make):
    gatekeeper = make(auth=AUTH)
    for _ in range(20):
        assert knock(gatekeeper, peer="192.0.2.1:7").status == 401
    assert statuses(gatekeeper, "CP1", SHORT, "192.0.2.1", 1) == [101]


def test_without_limits_every_password_is_read():
    off = FailedLogins(AuthSettings(failed_logins=0, failed_logins_per_address=0, failed_logins_per_id=0))
    for _ in range(1000):
        off.note("a", "CP1", 0.0)
    assert off.limit("a", "CP1", 0.0, guarded=False) == (0.0, "")


@pytest.mark.parametrize("guarded", [True, False])
def test_what_is_counted_is_bounded_and_forgotten_with_time(guarded):
    logins = FailedLogins(AUTH)
    for number in range(1000):
        logins.note(f"192.0.2.{number}", f"CP{number}", 0.0)
    assert len(logins._here) == 1000
    logins.note("a", "b", 600.0)
    assert logins.limit("192.0.2.1", "CP1", 600.0, guarded=guarded) == (0.0, "")
