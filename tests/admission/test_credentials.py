"""Keys of charge points: storage, comparison and change."""

import datetime as dt

import gevent
import pytest
from gevent.event import Event

from chargehand.admission import credentials as module
from chargehand.admission.credentials import Credentials, PasswordChecksBusy, key_of
from chargehand.store.memory import MemoryStore

LONG = b"sixteen bytes, at"
SHORT = b"secret"
KEY = "00112233445566778899aabbccddeeff00112233"


@pytest.fixture
def book():
    return MemoryStore().collections.credentials


@pytest.fixture
def credentials(book):
    return Credentials({"CP0": "settled"}, book, required=False)


def bare(book):
    return Credentials({}, book, required=False)


# Who must show one


def test_without_any_nobody_is_asked(book):
    assert not bare(book).asked("CP1")


def test_one_in_the_store_is_asked_for_and_nobody_else_is(book):
    credentials = bare(book)
    credentials.set_password("CP1", LONG)
    assert credentials.asked("CP1")
    assert not credentials.asked("CP2")


def test_with_one_in_the_settings_or_by_setting_everybody_is_asked(book, credentials):
    assert credentials.asked("CP9")
    assert Credentials({}, book, required=True).asked("CP9")


# Comparing


@pytest.mark.parametrize("password", [LONG, SHORT, b"\x00\xff:\n", bytes(range(256))])
def test_the_right_one_is_taken_and_no_other(credentials, password):
    credentials.set_password("CP1", password)
    assert credentials.check("CP1", password)
    assert credentials.check("CP1", password)
    for other in (b"", password + b"x", password[:-1], SHORT + LONG):
        assert not credentials.check("CP1", other)


def test_the_password_is_not_in_the_store(credentials, book):
    for password in (LONG, SHORT):
        credentials.set_password("CP1", password)
        assert password not in repr(book.get("CP1")).encode()


def test_the_same_password_is_kept_differently_for_two(credentials, book):
    credentials.set_password("CP1", SHORT)
    credentials.set_password("CP2", SHORT)
    assert book.get("CP1").digest != book.get("CP2").digest


def test_the_settings_count_until_the_store_has_one_and_again_when_it_is_removed(credentials):
    assert credentials.check("CP0", b"settled")
    credentials.set_password("CP0", LONG)
    assert not credentials.check("CP0", b"settled")
    credentials.remove("CP0")
    assert credentials.check("CP0", b"settled")


def test_one_that_is_not_known_has_no_right_password(credentials):
    assert not credentials.check("CP9", b"")
    assert not credentials.knows("CP9")


def test_an_empty_password_is_refused(credentials):
    with pytest.raises(ValueError, match="is empty"):
        credentials.set_password("CP1", b"")


def test_a_short_password_is_hashed_slowly_once_and_off_the_hub(credentials, monkeypatch):
    credentials.set_password("CP1", SHORT)
    slow = []
    monkeypatch.setattr(module, "_scrypt", lambda *given: slow.append(given) or real(*given))
    for _ in range(3):
        assert credentials.check("CP1", SHORT)
    assert len(slow) == 1
    credentials.set_password("CP1", b"another")
    assert not credentials.check("CP1", SHORT)


real = module._scrypt


def test_too_many_that_wait_for_it_are_sent_away(credentials, monkeypatch):
    credentials.set_password("CP1", SHORT)
    monkeypatch.setattr(module, "WAITING_LIMIT", 3)
    begun, ended = Event(), []

    def check():
        begun.set()
        ended.append(credentials.check("CP1", b"wrong"))

    waiting = [gevent.spawn(check) for _ in range(3)]
    begun.wait(60)
    gevent.sleep(0)
    with pytest.raises(PasswordChecksBusy):
        credentials.check("CP1", b"wrong")
    gevent.joinall(waiting)
    assert ended == [False] * 3
    assert not credentials.check("CP1", b"wrong")


# Changing


def test_a_key_that_was_accepted_takes_the_place_of_the_old_one(credentials):
    credentials.set_password("CP1", LONG)
    credentials.key_sent("CP1", KEY, certain=True)
    assert not credentials.check("CP1", LONG)
    assert credentials.check("CP1", bytes.fromhex(KEY))


@pytest.mark.parametrize("old", [LONG, SHORT])
def test_of_a_key_whose_fate_is_not_known_both_count_until_the_new_one_is_used(credentials, old):
    credentials.set_password("CP1", old)
    credentials.key_sent("CP1", KEY, certain=False)
    assert credentials.check("CP1", old)
    assert not credentials.check("CP1", b"neither of the two")
    assert credentials.check("CP1", bytes.fromhex(KEY))
    assert not credentials.check("CP1", old)
    assert credentials.check("CP1", bytes.fromhex(KEY))


def test_the_key_of_the_settings_counts_beside_one_whose_fate_is_not_known(credentials):
    credentials.key_sent("CP0", KEY, certain=False)
    assert credentials.check("CP0", b"settled")
    assert credentials.check("CP0", bytes.fromhex(KEY))


def test_one_that_needed_no_key_does_not_need_one_whose_fate_is_not_known(book):
    credentials = bare(book)
    credentials.key_sent("CP1", KEY, certain=False)
    assert not credentials.asked("CP1")


def test_all_of_it_outlives_the_process(book):
    bare(book).set_password("CP1", SHORT)
    bare(book).key_sent("CP1", KEY, certain=False)
    assert bare(book).check("CP1", SHORT)
    assert bare(book).check("CP1", bytes.fromhex(KEY))
    assert not bare(book).check("CP1", SHORT)


NEXT = [f"{number:040x}" for number in range(1, 6)]


def test_several_new_keys_of_unknown_fate_all_count_until_one_is_used(credentials):
    credentials.set_password("CP1", LONG)
    for key in NEXT[:3]:
        credentials.key_sent("CP1", key, certain=False)
    for key in (LONG, bytes.fromhex(NEXT[1])):
        assert credentials.check("CP1", key)
    for key in (LONG, bytes.fromhex(NEXT[0])):
        assert not credentials.check("CP1", key)
    assert credentials.check("CP1", bytes.fromhex(NEXT[2]))
    assert not credentials.check("CP1", bytes.fromhex(NEXT[1]))


def test_the_number_of_new_keys_is_bounded_and_the_old_one_is_never_lost(credentials):
    credentials.set_password("CP1", LONG)
    for key in NEXT:
        credentials.key_sent("CP1", key, certain=False)
    assert credentials.check("CP1", LONG)
    assert not credentials.check("CP1", bytes.fromhex(NEXT[1]))
    assert credentials.check("CP1", bytes.fromhex(NEXT[2]))
    assert credentials.check("CP1", bytes.fromhex(NEXT[4]))


def test_an_accepted_key_ends_all_that_was_in_doubt(credentials):
    credentials.set_password("CP1", LONG)
    credentials.key_sent("CP1", NEXT[0], certain=False)
    credentials.key_sent("CP1", NEXT[1], certain=True)
    assert not credentials.check("CP1", LONG)
    assert not credentials.check("CP1", bytes.fromhex(NEXT[0]))
    assert credentials.check("CP1", bytes.fromhex(NEXT[1]))
    assert credentials.unused_since("CP1") is None


@pytest.mark.parametrize("certain", [True, False])
def test_a_key_that_is_noted_already_is_not_written_again(credentials, book, certain):
    credentials.set_password("CP1", LONG)
    credentials.key_sent("CP1", KEY, certain=certain)
    kept = book.get("CP1")
    credentials.key_sent("CP1", KEY, certain=certain)
    credentials.key_sent("CP1", KEY, certain=False)
    assert book.get("CP1") is kept


# Digits in place of bytes


@pytest.mark.parametrize("key", [KEY, KEY[:32], KEY.upper()])
@pytest.mark.parametrize("where", ["store", "settings", "not used yet"])
def test_the_digits_of_a_key_are_recognised_until_its_bytes_were_sent(book, key, where):
    credentials = Credentials({"CP1": f"hex:{key}"} if where == "settings" else {}, book, required=False)
    if where == "store":
        credentials.key_sent("CP1", key, certain=True)
    if where == "not used yet":
        credentials.set_password("CP1", LONG)
        assert credentials.check("CP1", LONG)
        credentials.key_sent("CP1", key, certain=False)
    assert not credentials.check("CP1", key.encode())
    assert credentials.check_digits("CP1", key.lower().encode())
    assert credentials.check_digits("CP1", key.upper().encode())
    assert credentials.check("CP1", bytes.fromhex(key))
    assert not credentials.check_digits("CP1", key.encode())


def test_a_new_key_may_be_sent_as_digits_again(credentials):
    credentials.key_sent("CP1", KEY, certain=True)
    assert credentials.check("CP1", bytes.fromhex(KEY))
    credentials.key_sent("CP1", NEXT[0], certain=True)
    assert credentials.check_digits("CP1", NEXT[0].encode())


@pytest.mark.parametrize(
    "given",
    [b"", KEY[:30].encode(), KEY.encode() + b"00", KEY[:39].encode(), b" " + KEY[1:].encode(), b"\xff" * 40],
)
def test_what_is_not_the_digits_of_a_whole_key_is_none(credentials, given):
    credentials.key_sent("CP1", KEY, certain=True)
    assert not credentials.check_digits("CP1", given)


# Keys that are not used


def test_a_new_key_is_listed_once_in_its_time_until_it_is_used(book):
    at = [dt.datetime(2026, 1, 1, tzinfo=dt.UTC)]
    credentials = Credentials({}, book, required=False, now=lambda: at[0])
    credentials.set_password("CP1", LONG)
    credentials.key_sent("CP1", KEY, certain=False)
    given_at = at[0]
    assert credentials.unused_since("CP1") == given_at
    assert credentials.unused_keys(100) == []
    at[0] += dt.timedelta(seconds=100)
    assert credentials.unused_keys(100) == [("CP1", given_at)]
    assert credentials.unused_keys(100) == []
    again = Credentials({}, book, required=False, now=lambda: at[0])
    assert again.unused_keys(100) == [("CP1", given_at)]
    at[0] += dt.timedelta(seconds=100)
    assert credentials.unused_keys(100) == [("CP1", given_at)]
    credentials.check("CP1", bytes.fromhex(KEY))
    at[0] += dt.timedelta(seconds=100)
    assert credentials.unused_keys(100) == []


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (KEY, bytes.fromhex(KEY)),
        (KEY[:32], bytes.fromhex(KEY[:32])),
        (KEY.upper(), bytes.fromhex(KEY)),
        (KEY[:30], KEY[:30].encode()),  # too short for digits: a text
        (KEY + "00", (KEY + "00").encode()),
        (KEY[:20] + " " * 20, (KEY[:20] + " " * 20).encode()),
        ("no digits at all, but long enough", b"no digits at all, but long enough"),
        ("schl\u00fcssel", "schl\u00fcssel".encode()),
    ],
)
def test_a_key_is_sent_as_hexadecimal_digits_or_is_taken_as_its_text(value, key):
    assert key_of(value) == key


@pytest.mark.parametrize(
    ("value", "key"), [("hex:00ff", b"\x00\xff"), ("base64:AP8=", b"\x00\xff"), ("\u00e9", "\u00e9".encode())]
)
def test_a_key_in_the_settings_is_its_text_or_the_bytes_that_it_writes_out(book, value, key):
    credentials = Credentials({"CP1": value}, book, required=False)
    assert credentials.check("CP1", key)
    assert not credentials.check("CP1", b"another")


def test_a_staged_key_counts_beside_the_one_before_until_it_is_used(book):
    credentials = bare(book)
    credentials.set_password("CP1", b"an old key of 20 byt")
    credentials.stage("CP1", KEY)
    credentials.key_sent("CP1", KEY, certain=True)  # accepted: a reboot may still come before it is used
    assert credentials.check("CP1", b"an old key of 20 byt")
    assert credentials.unused_since("CP1") is not None
    assert credentials.check("CP1", bytes.fromhex(KEY))
    assert not credentials.check("CP1", b"an old key of 20 byt")
    assert credentials.unused_since("CP1") is None


def test_a_staged_key_that_is_refused_is_forgotten(book):
    credentials = bare(book)
    credentials.set_password("CP1", b"an old key of 20 byt")
    credentials.stage("CP1", KEY)
    credentials.key_refused("CP1", NEXT[0])
    credentials.key_refused("CP2", KEY)
    assert credentials.unused_since("CP1") is not None
    credentials.key_refused("CP1", KEY)
    assert credentials.unused_since("CP1") is None
    assert not credentials.check("CP1", bytes.fromhex(KEY))
    assert credentials.check("CP1", b"an old key of 20 byt")


def test_a_key_is_staged_once_and_for_nobody_without_a_key(book):
    credentials = bare(book)
    credentials.stage("CP1", KEY)
    assert credentials.stored("CP1") is None
    credentials.set_password("CP1", b"an old key of 20 byt")
    for _ in range(2):
        credentials.stage("CP1", KEY)
    first = credentials.stored("CP1")
    assert first.next is not None
    assert first.next.next is None


def test_a_short_password_of_the_settings_counts_beside_a_staged_key(book):
    credentials = Credentials({"CP1": "short"}, book, required=False)
    credentials.stage("CP1", KEY)
    assert credentials.check("CP1", b"short")
    assert credentials.check("CP1", bytes.fromhex(KEY))
    assert not credentials.check("CP1", b"short")


def test_a_key_that_is_given_in_bytes_is_taken_as_it_is(book):
    credentials = bare(book)
    credentials.key_sent("CP1", KEY.encode(), certain=True)
    assert credentials.check("CP1", KEY.encode())
    assert not credentials.check("CP1", bytes.fromhex(KEY))
