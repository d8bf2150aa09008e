"""Identity and password of a handshake, whatever a client sends in path and header."""

import base64
from urllib.parse import quote

import pytest
from hypothesis import assume, given, reject
from hypothesis import strategies as st

from chargehand.admission.identity import IdentityRefused, check_identity, read_password, read_path
from chargehand.protocol.text import INVISIBLE

TEMPLATES = st.sampled_from(["/{id}", "/ocpp/{id}", "/{name}/{id}", "/ocpp/{name}/{id}"])
PIECES = [
    "/",
    "//",
    "%",
    "%2F",
    "%2e",
    "..",
    ".",
    "%00",
    "%c3%bc",
    "%c3",
    "%ZZ",
    "ocpp",
    "CP1",
    "\xc3\xbc",
    "\xff",
    "+",
    ";",
]
paths = st.one_of(
    st.text(st.characters(max_codepoint=255), max_size=80),
    st.lists(st.sampled_from(PIECES), max_size=12).map("".join),
)
identities = st.text(st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=60)


@given(paths, TEMPLATES, st.integers(1, 30))
def test_a_path_is_read_or_refused_and_nothing_else(path, template, longest):
    try:
        found = read_path(path, template, longest)
    except (IdentityRefused, UnicodeError):
        return
    if found is None:
        return
    for part in (found.id, found.name):
        check_identity(part, longest)
        assert len(part) <= longest
        assert not INVISIBLE.search(part)
        assert part not in (".", "..")
    assert found.id


@given(identities, TEMPLATES)
def test_an_identity_that_may_be_comes_out_of_its_path_as_it_was(identity, template):
    try:
        check_identity(identity)
    except IdentityRefused:
        reject()
    path = template.replace("{name}", "site").replace("{id}", quote(identity, safe=""))
    found = read_path(path, template)
    assert found is not None
    assert found.id == identity
    assert found.name == ("site" if "{name}" in template else "")


@given(st.text(st.characters(max_codepoint=255), max_size=100), identities)
def test_no_header_of_a_login_raises(header, identity):
    for text in (header, f"Basic {header}", f"basic  {header}="):
        password = read_password(text, identity)
        assert password is None or isinstance(password, bytes)


@given(identities, st.binary(max_size=100), st.sampled_from(["Basic", "basic", "BASIC"]))
def test_a_password_of_any_bytes_comes_out_of_its_header(identity, password, scheme):
    header = f"{scheme} {base64.b64encode(identity.encode() + b':' + password).decode()}"
    assert read_password(header, identity) == password
    assert read_password(header, identity + "\x00") is None


@given(identities, identities, st.binary(max_size=30))
def test_a_password_of_another_is_none(one, other, password):
    assume(not f"{other}:".startswith(f"{one}:"))
    header = f"Basic {base64.b64encode(other.encode() + b':' + password).decode()}"
    assume(not (other.encode() + b":" + password).startswith(f"{one}:".encode()))
    assert read_password(header, one) is None


@pytest.mark.parametrize("length", [1_000, 1_000_000])
def test_a_path_of_any_length_is_refused_at_once(length):
    with pytest.raises(IdentityRefused):
        read_path("/ocpp/" + "%41" * (length // 3), "/ocpp/{id}")
