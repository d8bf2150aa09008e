"""Facts in a request to connect: identity, subprotocols and credentials. Pure functions."""

import base64
from urllib.parse import quote

import pytest

from chargehand.admission.identity import (
    Identity,
    IdentityRefused,
    assumes_subprotocol,
    read_password,
    read_path,
)
from chargehand.protocol.handshake import check_key, choose_subprotocol, wants_upgrade


def as_sent(path: str) -> str:
    """Return a path as the HTTP server hands it over: its bytes as Latin-1."""
    return path.encode().decode("latin-1")


def basic(credentials: bytes, scheme: str = "Basic") -> str:
    return f"{scheme} {base64.b64encode(credentials).decode()}"


# Paths


@pytest.mark.parametrize(
    ("path", "identity"),
    [
        ("/ocpp/CP1", "CP1"),
        ("/ocpp///CP1", "CP1"),
        ("///ocpp/CP1", "CP1"),
        ("/ocpp/CP1/", "CP1"),
        ("/ocpp/CP1///", "CP1"),
        ("/ocpp/first/CP1", "CP1"),
        ("ocpp/CP1", "CP1"),
        ("/ocpp/RDAM%7C123", "RDAM|123"),
        ("/ocpp/RDAM|123", "RDAM|123"),
        ("/ocpp/a%2Fb", "a/b"),
        ("/ocpp/a%2fb", "a/b"),
        ("/ocpp/%2F", "/"),
        ("/ocpp/a%20b", "a b"),
        ("/ocpp/a+b", "a+b"),
        ("/ocpp/a%2Bb", "a+b"),
        ("/ocpp/a:b", "a:b"),
        ("/ocpp/%31%32", "12"),
        ("/ocpp/100%25", "100%"),
        ("/ocpp/100%2531", "100%31"),  # decoded once
        ("/ocpp/100%", "100%"),
        ("/ocpp/%zz", "%zz"),
        ("/ocpp/Z%C3%BCrich%E2%9A%A1", "Zürich⚡"),
        (as_sent("/ocpp/Zürich⚡"), "Zürich⚡"),
        (as_sent("/ocpp/Zürich") + "%E2%9A%A1", "Zürich⚡"),
        ("/%6Fcpp/CP1", "CP1"),
        ("/ocpp/{id}", "{id}"),
    ],
)
def test_the_identity_is_the_last_segment_that_is_not_empty_decoded_once(path, identity):
    assert read_path(path, "/ocpp/{id}") == Identity(identity, "")


@pytest.mark.parametrize(
    "path", ["", "/", "//", "/ocpp", "/ocpp/", "/ocpp///", "/CP1", "/ocppx/CP1", "/OCPP/CP1", "/ocp/CP1", "*"]
)
def test_a_path_that_is_not_under_the_template_names_nobody(path):
    assert read_path(path, "/ocpp/{id}") is None


@pytest.mark.parametrize(
    ("template", "path", "found"),
    [
        ("/{id}", "/CP1", Identity("CP1", "")),
        ("/{id}", "/", None),
        ("/a/b/{id}", "/a/b/CP1", Identity("CP1", "")),
        ("/a/b/{id}", "//a//b//CP1//", Identity("CP1", "")),
        ("/a/b/{id}", "/a/CP1", None),
        ("/a/b/{id}", "/a/b", None),
        ("/{name}/{id}", "/depot/CP1", Identity("CP1", "depot")),
        ("/{name}/{id}", "/de%20pot/CP1", Identity("CP1", "de pot")),
        ("/{name}/{id}", "/CP1", None),
        ("/ocpp/{name}/{id}", "/ocpp/depot/CP1", Identity("CP1", "depot")),
        ("/ocpp/{name}/{id}", "/ocpp/CP1", None),
        ("/ocpp/{name}/v/{id}", "/ocpp/depot/v/CP1", Identity("CP1", "depot")),
        ("/ocpp/{name}/v/{id}", "/ocpp/depot/w/CP1", None),
    ],
)
def test_a_template_may_have_several_segments_and_hand_out_a_name(template, path, found):
    assert read_path(path, template) == found


@pytest.mark.parametrize(
    "path",
    [
        "/ocpp/%FF%FE",
        "/ocpp/\xff",
        "/ocpp/%C3",
        "/ocpp/%C0%AF",  # a slash in two bytes, which UTF-8 forbids
        "/ocpp/%ED%A0%80",  # half of a pair of surrogates
        "/%FF/CP1",
    ],
)
def test_what_is_not_utf8_when_decoded_is_an_error(path):
    with pytest.raises(ValueError, match="codec can't decode"):
        read_path(path, "/ocpp/{id}")


HIDDEN = [
    "\0",
    "\n",
    "\r",
    "\x1b",
    "\x7f",
    "\x85",
    "\u00ad",
    "\u061c",
    "\u200b",
    "\u200d",
    "\u200e",
    "\u202e",
]
HIDDEN += ["\u2028", "\u2029", "\u2060", "\u2066", "\u3164", "\ufe0f", "\ufeff", "\uffff", "\U000e0041"]


@pytest.mark.parametrize("character", HIDDEN)
def test_an_identity_with_a_character_that_nobody_sees_is_refused(character):
    for path, template in (
        (f"/ocpp/CP{quote(character)}1", "/ocpp/{id}"),
        (f"/ocpp/CP{as_sent(character)}1", "/ocpp/{id}"),
        (f"/a{quote(character)}/CP1", "/{name}/{id}"),
    ):
        with pytest.raises(IdentityRefused, match=f"such as U\\+{ord(character):04X}"):
            read_path(path, template)


@pytest.mark.parametrize("path", ["/ocpp/.", "/ocpp/..", "/ocpp/%2e%2E", "/ocpp/.%2e/"])
def test_an_identity_of_a_dot_or_two_is_refused(path):
    with pytest.raises(IdentityRefused, match="no identity"):
        read_path(path, "/ocpp/{id}")
    assert read_path("/ocpp/...", "/ocpp/{id}") == Identity("...", "")


def test_an_identity_is_counted_in_characters_once_it_is_decoded():
    assert read_path("/ocpp/" + quote("ü" * 255), "/ocpp/{id}") == Identity("ü" * 255, "")
    with pytest.raises(IdentityRefused, match=r"at most 255 characters .*identity_chars.*, not 256"):
        read_path("/ocpp/" + quote("ü" * 256), "/ocpp/{id}")
    with pytest.raises(IdentityRefused, match="at most 10 characters"):
        read_path("/ocpp/12345678901", "/ocpp/{id}", 10)


# Subprotocols


@pytest.mark.parametrize(
    ("offered", "spoken", "chosen"),
    [
        ("ocpp1.6", ["ocpp1.6"], "ocpp1.6"),
        ("ocpp2.0.1, ocpp1.6", ["ocpp1.6", "ocpp2.0.1"], "ocpp2.0.1"),
        ("ocpp1.6, ocpp2.0.1", ["ocpp2.0.1", "ocpp1.6"], "ocpp1.6"),
        ("ocpp1.5,ocpp1.6 , soap", ["ocpp1.6"], "ocpp1.6"),
        ("\tocpp1.6\t", ["ocpp1.6"], "ocpp1.6"),
        (",,ocpp1.6", ["ocpp1.6"], "ocpp1.6"),
        ("", ["ocpp1.6"], None),
        (",", ["ocpp1.6"], None),
        ("ocpp1.5", ["ocpp1.6"], None),
        ("ocpp1.60", ["ocpp1.6"], None),
        ("xocpp1.6", ["ocpp1.6"], None),
        ("ocpp1.6.1", ["ocpp1.6"], None),
        ("OCPP1.6", ["ocpp1.6"], None),
        ("ocpp1.6 ocpp1.5", ["ocpp1.6"], None),
        ("ocpp1.6", [], None),
    ],
)
def test_the_clients_first_spoken_subprotocol_is_chosen_by_its_whole_name(offered, spoken, chosen):
    assert choose_subprotocol(offered, spoken) == chosen


@pytest.mark.parametrize(
    ("assume", "assumed"),
    [((), False), (("CP1",), True), (("CP2",), False), (("CP",), False), (("*",), True)],
)
def test_a_subprotocol_is_assumed_only_of_those_who_are_listed(assume, assumed):
    assert assumes_subprotocol("CP1", assume) is assumed


# Passwords


def takes(authorization, identity, password):
    return read_password(authorization, identity) == password.encode()


@pytest.mark.parametrize(
    ("identity", "password", "credentials"),
    [
        ("CP1", "secret", b"CP1:secret"),
        ("CP1", "se:cr:et", b"CP1:se:cr:et"),
        ("CP:1", "secret", b"CP:1:secret"),
        ("CP:1", ":", b"CP:1::"),
        ("CP1", " secret ", b"CP1: secret "),
        ("Zürich⚡", "pässword", "Zürich⚡:pässword".encode()),
        ("CP1", "\x00\x01\n\x7f", b"CP1:\x00\x01\n\x7f"),
    ],
)
def test_the_right_password_is_taken_whatever_is_in_it(identity, password, credentials):
    assert takes(basic(credentials), identity, password)


@pytest.mark.parametrize(
    "credentials",
    [
        b"CP1:Secret",
        b"CP1:secret ",
        b"CP1:secre",
        b"CP1:secrets",
        b"CP1:",
        b"CP1",
        b"",
        b":secret",
        b"CP2:secret",
        b"cp1:secret",
        b"CP1:x:secret",
        b"\xff\xfe\x00:secret",
    ],
)
def test_another_password_or_another_name_is_refused(credentials):
    assert not takes(basic(credentials), "CP1", "secret")


def test_the_border_between_name_and_password_is_that_of_the_known_name():
    assert takes(basic(b"CP:1:secret"), "CP:1", "secret")
    assert not takes(basic(b"CP:1:secret"), "CP", "secret")
    assert not takes(basic(b"CP:1:secret"), "CP:1:secret", "")


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Basic",
        "Basic ",
        "Basic ****",
        "Basic Q1AxOnNlY3JldA",  # without its padding
        "Basic Q1AxOnNlY3JldA==x",
        "Basic \xfc",
        "CP1:secret",
        basic(b"CP1:secret", "Bearer"),
        basic(b"CP1:secret", "Basic,"),
        basic(b"CP1:secret") + ", " + basic(b"CP1:secret"),
    ],
)
def test_what_is_no_basic_authorization_is_refused(authorization):
    assert not takes(authorization, "CP1", "secret")


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
@pytest.mark.parametrize("around", ["", " "])
def test_the_scheme_is_read_in_either_case_and_blanks_around_it_do_not_matter(scheme, around):
    encoded = base64.b64encode(b"CP1:secret").decode()
    assert takes(f"{around}{scheme} {around}{encoded}{around}", "CP1", "secret")


# The upgrade


@pytest.mark.parametrize("upgrade", ["websocket", "WebSocket", "h2c, websocket", "websocket,h2c"])
@pytest.mark.parametrize("connection", ["Upgrade", "upgrade", "keep-alive, Upgrade", "Upgrade,close"])
def test_an_upgrade_is_found_among_others_in_any_case(upgrade, connection):
    assert wants_upgrade({"upgrade": upgrade, "connection": connection}) is None


@pytest.mark.parametrize(
    ("headers", "wrong"),
    [
        ({}, "Upgrade: websocket"),
        ({"connection": "Upgrade"}, "Upgrade: websocket"),
        ({"upgrade": "h2c", "connection": "Upgrade"}, "Upgrade: websocket"),
        ({"upgrade": "websockets", "connection": "Upgrade"}, "Upgrade: websocket"),
        ({"upgrade": "websocket"}, "Connection: Upgrade"),
        ({"upgrade": "websocket", "connection": "keep-alive"}, "Connection: Upgrade"),
        ({"upgrade": "websocket", "connection": "Upgraded"}, "Connection: Upgrade"),
    ],
)
def test_what_is_no_upgrade_is_told_what_is_missing(headers, wrong):
    assert wrong in (wants_upgrade(headers) or "")


@pytest.mark.parametrize(
    ("key", "right"),
    [
        ("dGhlIHNhbXBsZSBub25jZQ==", True),
        (" dGhlIHNhbXBsZSBub25jZQ== ", True),
        ("AAAAAAAAAAAAAAAAAAAAAA==", True),
        ("", False),
        ("dGhlIHNhbXBsZSBub25jZQ", False),
        ("c2hvcnQ=", False),
        ("dGhlIHNhbXBsZSBub25jZSE=", False),  # 17 bytes
        ("dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==", False),
        ("dGhlIHNhbXBsZSBub25jZ\xfc==", False),
        ("****", False),
    ],
)
def test_a_key_is_16_bytes_in_base64(key, right):
    assert check_key(key) is right
