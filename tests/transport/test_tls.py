"""TLS context of the server: the files that it accepts, and its errors."""

import contextlib
import ssl
import warnings

import gevent.ssl
import pytest

from chargehand.transport.tls import TlsError, server_context

from ..certificates import make_certificate


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
