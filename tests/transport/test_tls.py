"""TLS context of the server: the files that it accepts, and its errors."""

import contextlib
import datetime as dt
import ssl
import warnings

import gevent.ssl
import pytest

from chargehand.config.settings import TlsSettings
from chargehand.transport.tls import TlsError, load, openssl_name

from ..certificates import Authority, make_certificate, tls_of


def server_context(certificate, key):
    return load(TlsSettings(certificate=certificate, key=key)).context


def test_the_context_is_one_that_does_not_stop_the_hub(certificate):
    assert isinstance(server_context(*map(str, certificate)), gevent.ssl.SSLContext)


def test_tls_is_1_2_or_newer_without_compression_or_renegotiation(certificate):
    context = server_context(*map(str, certificate))
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_COMPRESSION
    assert context.options & ssl.OP_NO_RENEGOTIATION


def test_the_suites_of_the_whitepaper_can_be_chosen_and_none_is_weaker(certificate):
    names = {suite["name"] for suite in server_context(*map(str, certificate)).get_ciphers()}
    assert names >= {
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "AES128-GCM-SHA256",
        "AES256-GCM-SHA384",
    }
    assert all("GCM" in name or "CHACHA20" in name for name in names)


def handshake(server, suite, version=ssl.TLSVersion.TLSv1_2):
    """Shake hands in memory with a client that offers one suite; return the agreed suite."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        client.minimum_version = client.maximum_version = version
    client.set_ciphers(suite)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(to_client, to_server), server.wrap_bio(to_server, to_client, server_side=True)]
    for end in ends * 3:
        with contextlib.suppress(ssl.SSLWantReadError):
            end.do_handshake()
    return ends[0].cipher()[0]


@pytest.fixture(scope="module")
def rsa_context(tmp_path_factory):
    return server_context(*map(str, make_certificate(tmp_path_factory.mktemp("rsa"), "rsa", with_rsa=True)))


@pytest.mark.parametrize(
    "suite",
    ["AES128-GCM-SHA256", "AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384"],
)
def test_a_client_that_has_one_suite_of_the_whitepaper_is_served_with_it(rsa_context, suite):
    assert handshake(rsa_context, suite) == suite


@pytest.mark.parametrize(
    ("suite", "version"),
    [
        ("AES128-SHA256", ssl.TLSVersion.TLSv1_2),
        ("ECDHE-RSA-AES128-SHA", ssl.TLSVersion.TLSv1_2),
        ("ALL:@SECLEVEL=0", ssl.TLSVersion.TLSv1_1),
    ],
)
def test_a_client_with_weaker_suites_or_older_tls_is_refused(rsa_context, suite, version):
    with pytest.raises(ssl.SSLError):
        handshake(rsa_context, suite, version)


def test_no_certificate_is_asked_of_a_client(certificate):
    assert server_context(*map(str, certificate)).verify_mode == ssl.CERT_NONE


def test_a_file_that_is_not_there_is_named(certificate, tmp_path):
    chain, key = certificate
    for wrong in ((str(tmp_path / "no.pem"), str(key)), (str(chain), str(tmp_path / "no.key"))):
        with pytest.raises(TlsError, match=r"no\.(pem|key)") as caught:
            server_context(*wrong)
        assert "No such file" in str(caught.value)
        assert str(caught.value).startswith(f"tls.certificate {wrong[0]} with tls.key {wrong[1]}: ")


def test_a_key_of_another_certificate_is_refused(certificate, tmp_path):
    _, other = make_certificate(tmp_path, "other")
    with pytest.raises(TlsError, match="KEY_VALUES_MISMATCH"):
        server_context(str(certificate[0]), str(other))


@pytest.mark.parametrize("content", [b"", b"no PEM at all", b"\x00\xff", b"-----BEGIN CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_refused(certificate, tmp_path, content):
    broken = tmp_path / "broken.pem"
    broken.write_bytes(content)
    with pytest.raises(TlsError, match=r"broken\.pem"):
        server_context(str(broken), str(certificate[1]))
    with pytest.raises(TlsError, match=r"broken\.pem"):
        server_context(str(certificate[0]), str(broken))


def test_a_folder_is_no_certificate(certificate, tmp_path):
    with pytest.raises(TlsError, match=r"tls\.certificate"):
        server_context(str(tmp_path), str(certificate[1]))


def test_a_key_behind_a_passphrase_is_refused_and_nobody_is_asked_for_it(tmp_path, capfd):
    """OpenSSL would ask at the terminal, and the server would wait for an answer for ever."""
    chain, key = make_certificate(tmp_path, "locked", passphrase="secret")
    with pytest.raises(TlsError, match=r"locked\.key is encrypted"):
        server_context(str(chain), str(key))
    assert capfd.readouterr() == ("", "")


# Several certificates


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Certificates and keys of both kinds, from an intermediate authority."""
    folder = tmp_path_factory.mktemp("pairs")
    authority = Authority(folder, "intermediate", Authority(folder))
    return [
        authority.issue("server", usage="server", with_rsa=kind == "rsa", file=kind) for kind in ("ec", "rsa")
    ]


WHITEPAPER = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_RSA_WITH_AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384": "AES256-GCM-SHA384",
}


@pytest.mark.parametrize("suites", [(), tuple(WHITEPAPER), tuple(WHITEPAPER.values())])
@pytest.mark.parametrize("suite", WHITEPAPER.values())
def test_with_both_kinds_of_keys_all_four_suites_of_the_whitepaper_are_served(pairs, suites, suite):
    assert handshake(tls_of(*pairs, suites=suites).loaded.context, suite) == suite


def test_only_the_suites_of_the_setting_are_served(pairs):
    tls = tls_of(*pairs, suites=("TLS_RSA_WITH_AES_128_GCM_SHA256",))
    assert handshake(tls.loaded.context, "AES128-GCM-SHA256") == "AES128-GCM-SHA256"
    with pytest.raises(ssl.SSLError):
        handshake(tls.loaded.context, "AES256-GCM-SHA384")


@pytest.mark.parametrize(
    ("suites", "text"),
    [
        (("AES128-GCM-SHA256", "NONSENSE"), "NONSENSE is not known"),
        (("NONSENSE",), "NONSENSE"),
        (("TLS_AES_128_GCM_SHA256",), "is one of TLS 1.3, which are always there"),
    ],
)
def test_a_suite_that_cannot_be_served_is_refused(pairs, suites, text):
    with pytest.raises(TlsError, match=rf"tls\.suites: .*{text}"):
        tls_of(*pairs, suites=suites)


@pytest.mark.parametrize(
    ("iana", "openssl"),
    [
        *WHITEPAPER.items(),
        ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-RSA-CHACHA20-POLY1305"),
        ("TLS_RSA_WITH_AES_128_CBC_SHA", "AES128-SHA"),
        ("AES128-GCM-SHA256", "AES128-GCM-SHA256"),
    ],
)
def test_a_suite_has_its_name_in_openssl(iana, openssl):
    assert openssl_name(iana) == openssl


def test_two_certificates_with_the_same_kind_of_key_are_refused(pairs, certificate):
    with pytest.raises(TlsError, match=r"ec\.pem and .*server\.pem both have a key of the kind ECDSA"):
        tls_of(*pairs, certificate)


def session_reused(context, version):
    """Shake hands twice in memory, the second time with the session of the first; return whether it was resumed."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.minimum_version = client.maximum_version = version
    session = None
    for _ in range(2):
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        one = client.wrap_bio(to_client, to_server, session=session)
        ends = [one, context.wrap_bio(to_server, to_client, server_side=True)]
        for end in ends * 3:
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
        with contextlib.suppress(ssl.SSLWantReadError):
            one.read()  # the tickets of TLS 1.3 come behind the handshake
        session = one.session
    return one.session_reused


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_is_resumed_until_the_certificates_are_read_again(pairs, version):
    assert session_reused(tls_of(*pairs).loaded.context, version)


# Reading again


@pytest.fixture
def files(tmp_path, pairs):
    """Copies of both certificates and keys, for a test that changes them."""
    copies = []
    for pair in pairs:
        copies.append(tuple(tmp_path / file.name for file in pair))
        for file, copy in zip(pair, copies[-1], strict=True):
            copy.write_bytes(file.read_bytes())
    return copies


def renew(pair, folder, *, with_rsa=False):
    """Put another certificate and key in the place of a pair."""
    folder.mkdir()
    for new, old in zip(make_certificate(folder, "renewed", with_rsa=with_rsa), pair, strict=True):
        new.replace(old)


def test_a_changed_file_is_read_for_new_connections(files, tmp_path):
    tls = tls_of(*files)
    before, old = tls.loaded.context, tls.loaded.fingerprints
    assert not tls.changed()
    renew(files[0], tmp_path / "new")
    assert tls.changed()
    assert tls.reload()
    assert not tls.changed()
    assert tls.loaded.context is not before
    assert tls.loaded.fingerprints[0] != old[0]
    assert tls.loaded.fingerprints[1] == old[1]


@pytest.mark.parametrize("broken", [b"", b"junk", None])
def test_a_broken_file_leaves_the_certificates_before_in_use_until_it_changes(files, tmp_path, broken):
    tls = tls_of(*files)
    before = tls.loaded
    if broken is None:
        files[0][0].unlink()
    else:
        files[0][0].write_bytes(broken)
    assert tls.changed()
    with pytest.raises(TlsError, match=r"ec\.pem"):
        tls.reload()
    assert tls.loaded is before
    assert not tls.changed()  # tried once, not again and again
    files[0][0].unlink(missing_ok=True)
    renew(files[0], tmp_path / "new")
    assert tls.changed()
    assert tls.reload()


def test_what_is_read_again_without_a_change_is_nothing_new(files):
    assert not tls_of(*files).reload()


# Certificates of clients


@pytest.fixture
def clients(tmp_path):
    (tmp_path / "clients").mkdir()
    return Authority(tmp_path / "clients", "clients")


def test_with_a_ca_of_clients_they_may_show_a_certificate(pairs, clients):
    tls = tls_of(*pairs, client_ca=str(clients.file))
    assert tls.loaded.context.verify_mode == ssl.CERT_OPTIONAL
    assert [chain[0].subject for _, chain in tls.loaded.client_cas] == ["CN=clients"]


def test_a_folder_stands_for_the_files_in_it(pairs, clients):
    clients.write_list()
    folder = str(clients.folder)
    tls = tls_of(*pairs, client_ca=folder, client_crl=folder)
    assert [file for file, _ in tls.loaded.client_cas] == [str(clients.file)]
    assert [lists[0].issuer for _, lists in tls.loaded.revocation_lists] == ["CN=clients"]
    Authority(clients.folder, "more")
    assert tls.changed()
    assert tls.reload()
    assert len(tls.loaded.client_cas) == 2


def test_the_whole_chain_is_checked_if_there_are_lists_of_all_cas(pairs, tmp_path):
    root = Authority(tmp_path, "root-of-clients")
    below = Authority(tmp_path, "below", root)
    both = tmp_path / "both.pem"
    both.write_bytes(root.file.read_bytes() + below.file.read_bytes())
    lists = tmp_path / "lists.pem"
    lists.write_bytes(below.write_list().read_bytes())
    one = tls_of(*pairs, client_ca=str(both), client_crl=str(lists)).loaded.context.verify_flags
    lists.write_bytes(below.write_list().read_bytes() + root.write_list().read_bytes())
    all_ = tls_of(*pairs, client_ca=str(both), client_crl=str(lists)).loaded.context.verify_flags
    assert not one & ssl.VERIFY_CRL_CHECK_CHAIN & ~ssl.VERIFY_CRL_CHECK_LEAF
    assert all_ & ssl.VERIFY_CRL_CHECK_CHAIN == ssl.VERIFY_CRL_CHECK_CHAIN


def shows(server, pair):
    """Shake hands in memory with a client that shows a certificate; return whether it was taken."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.load_cert_chain(*pair)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    there = server.wrap_bio(to_server, to_client, server_side=True)
    try:
        for end in [client.wrap_bio(to_client, to_server), there] * 4:
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
    except ssl.SSLError:
        return False
    return there.getpeercert(binary_form=True) is not None


@pytest.mark.parametrize("trusted", ["root", "below", "both"])
@pytest.mark.parametrize("listed", ["", "below", "both"])
@pytest.mark.parametrize("revoked", ["", "leaf", "below"])
def test_a_client_is_taken_whichever_of_its_authorities_is_trusted(pairs, tmp_path, trusted, listed, revoked):
    root = Authority(tmp_path, "root")
    below = Authority(tmp_path, "below", root)
    leaf = below.issue("CP1")
    if revoked:
        (below if revoked == "leaf" else root).revoke(leaf[0] if revoked == "leaf" else below.file)
    both, lists = tmp_path / "both.pem", tmp_path / "lists.pem"
    both.write_bytes(root.file.read_bytes() + below.file.read_bytes())
    lists.write_bytes(below.write_list().read_bytes() + root.write_list().read_bytes())
    crl = {"": "", "below": str(tmp_path / "below.crl"), "both": str(lists)}[listed]
    tls = tls_of(*pairs, client_ca=str(tmp_path / f"{trusted}.pem"), client_crl=crl)
    # Whoever trusts the intermediate authority alone has no use for lists of its root.
    refused = (revoked == "leaf" and listed) or (
        revoked == "below" and listed == "both" and trusted != "below"
    )
    assert shows(tls.loaded.context, leaf) is not bool(refused)


@pytest.mark.parametrize("setting", ["client_ca", "client_crl"])
@pytest.mark.parametrize(
    "content", [None, b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_ca_or_a_list_that_cannot_be_used_is_named(pairs, clients, tmp_path, setting, content):
    wrong = tmp_path / "wrong.pem"
    if content is not None:
        wrong.write_bytes(content)
    with pytest.raises(TlsError, match=rf"tls\.{setting} .*wrong\.pem"):
        tls_of(*pairs, **{"client_ca": str(clients.file), setting: str(wrong)})


# What runs out


def test_what_runs_out_soon_is_found_in_chains_cas_and_lists(pairs, clients, certificate):
    crl = clients.write_list(dt.timedelta(minutes=10))
    tls = tls_of(*pairs, client_ca=str(clients.file), client_crl=str(crl), expiry_warn_days=1)
    names = [one.name for one in tls.expiring(dt.datetime.now(dt.UTC))]
    server, intermediate = "certificate CN=server", "certificate CN=intermediate"
    assert names == [
        *[server, intermediate] * 2,
        "certificate CN=clients",
        "revocation list of CN=clients",
    ]
    long_ago = dt.datetime.now(dt.UTC) - dt.timedelta(days=2)
    assert list(tls.expiring(long_ago)) == []
    assert list(tls_of(*pairs, expiry_warn_days=0).expiring(dt.datetime.now(dt.UTC))) == []
