"""Settings that need, forbid or bound one another, and exposure to strangers."""

import pytest

from chargehand.config.checks import check_exposure, checked, is_loopback
from chargehand.config.errors import ConfigError
from chargehand.config.sessions import AuthSettings, CaSettings, SessionSettings
from chargehand.config.settings import (
    HttpSettings,
    PluginSettings,
    ProxySettings,
    RedisSettings,
    Settings,
    SupervisionSettings,
    TlsSettings,
)


def errors(call, settings):
    with pytest.raises(ConfigError) as caught:
        call(settings)
    return caught.value.errors


def test_settings_built_by_hand_are_held_to_the_rules_of_a_file():
    wrong = Settings(port=-1, sessions=SessionSettings(queue_limit=0))
    assert errors(checked, wrong) == (
        "port: must be a whole number, from 0 to 65535, not -1",
        "sessions.queue_limit: must be a whole number, at least 1, not 0",
    )


def test_settings_built_by_hand_come_back_with_exact_types():
    loose = Settings(plugins=["a:B"], sessions=SessionSettings(command_timeout_s=5))
    exact = checked(loose)
    assert exact.plugins == (PluginSettings(class_name="a:B"),)
    assert type(exact.sessions.command_timeout_s) is float


def test_a_forgotten_section_is_a_fault_and_not_the_default():
    assert errors(checked, Settings(http=None)) == ("http: must not be null",)


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        (Settings(tls=TlsSettings(certificate="c")), "tls.key: missing, though tls.certificate is given"),
        (Settings(tls=TlsSettings(key="k")), "tls.certificate: missing, though tls.key is given"),
        (
            Settings(tls=TlsSettings(client_ca="c")),
            "tls.client_ca: serves nothing without tls.certificate",
        ),
        (
            Settings(tls=TlsSettings(certificate="c", key="k", client_crl="l")),
            "tls.client_ca: missing, though tls.client_crl is given",
        ),
        (Settings(http=HttpSettings(tls=True)), "http.tls: true needs tls.certificate"),
        (
            Settings(auth=AuthSettings(security_profile=2)),
            "auth.security_profile: 2 lets nobody in without tls.certificate",
        ),
        (
            Settings(auth=AuthSettings(security_profile=3), tls=TlsSettings(certificate="c", key="k")),
            "auth.security_profile: 3 lets nobody in without tls.client_ca",
        ),
        (
            Settings(proxy=ProxySettings(headers=True)),
            "proxy.trusted: missing: only proxies with these addresses are believed",
        ),
        (
            Settings(proxy=ProxySettings(trusted=("10.0.0.1/8",))),
            "proxy.trusted.0: 10.0.0.1/8 has host bits set",
        ),
        (Settings(tls=TlsSettings(plain=False)), "tls.plain: false serves nothing without tls.certificate"),
        (
            Settings(supervision=SupervisionSettings(backoff_max_s=0.1)),
            "supervision.backoff_max_s: must be at least supervision.backoff_min_s, which is 0.2",
        ),
        (
            Settings(http=HttpSettings(enabled=True, port=9000)),
            "http.port: 9000 is the value of port already",
        ),
        (
            Settings(port=9443, tls=TlsSettings(certificate="c", key="k")),
            "tls.port: 9443 is the value of port already",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, fault):
    assert errors(checked, settings) == (fault,)


@pytest.mark.parametrize(
    "settings",
    [
        Settings(port=0, http=HttpSettings(enabled=True, port=0)),
        Settings(http=HttpSettings(port=9000)),
        Settings(host="127.0.0.2", http=HttpSettings(enabled=True, port=9000)),
        Settings(tls=TlsSettings(certificate="c", key="k", port=9000, plain=False)),
        Settings(auth=AuthSettings(security_profile=3), proxy=ProxySettings(trusted=("10.0.0.1",))),
    ],
)
def test_ports_that_never_meet_are_fine(settings):
    assert checked(settings) == settings


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost", "LocalHost"])
def test_loopback_is_known(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "example.org", "localhost.example.org", ""])
def test_anything_else_is_not_loopback(host):
    assert not is_loopback(host)


def test_strangers_are_not_served_by_accident():
    (fault,) = errors(check_exposure, Settings(host="0.0.0.0"))
    assert fault.startswith("host: 0.0.0.0 is not loopback, and no credentials are set")
    assert "--open" in fault


def test_wss_on_another_address_counts_too():
    tls = TlsSettings(certificate="c", key="k", host="::")
    (fault,) = errors(check_exposure, Settings(tls=tls))
    assert fault.startswith("tls.host: :: is not loopback")


def test_http_without_a_token_stays_on_loopback_even_when_all_is_open():
    http = HttpSettings(enabled=True, host="0.0.0.0", open=True)
    assert errors(check_exposure, Settings(open=True, http=http)) == (
        "http.open: HTTP without a token is served on loopback only, not on 0.0.0.0",
    )


@pytest.mark.parametrize(
    "settings",
    [
        Settings(),
        Settings(host="0.0.0.0", open=True),
        Settings(host="0.0.0.0", auth=AuthSettings(credentials={"CP1": "x"})),
        Settings(host="0.0.0.0", tls=TlsSettings(certificate="c", key="k", host="::1", plain=False)),
        Settings(http=HttpSettings(enabled=True, open=True)),
        Settings(http=HttpSettings(enabled=True, host="0.0.0.0")),
        Settings(http=HttpSettings(enabled=False, host="0.0.0.0", open=True)),
    ],
)
def test_guarded_or_local_settings_pass(settings):
    assert check_exposure(settings) is None


def test_nodes_need_a_store_that_they_share():
    redis = RedisSettings(url="redis://127.0.0.1")
    (fault,) = errors(checked, Settings(store="sqlite", redis=redis))
    assert fault.startswith('store: must be "memory"')
    for store in ("memory", "postgresql://db/x"):
        assert checked(Settings(store=store, redis=redis))


@pytest.mark.parametrize("store", ["sqlite", "postgresql://db/chargehand"])
def test_several_workers_need_a_store_that_they_share(store):
    assert checked(Settings(workers=2, store=store)).workers == 2
    wrong = Settings(workers=2, store="memory")
    assert errors(checked, wrong) == (
        'workers: several share no memory: store must be "sqlite" or a URL of PostgreSQL',
    )


def test_an_authority_has_exactly_one_passphrase():
    assert errors(checked, Settings(ca=CaSettings(folder="ca"))) == (
        "ca.passphrase: missing, though ca.folder is given",
    )
    twice = CaSettings(folder="ca", passphrase="p", passphrase_file="f")
    assert errors(checked, Settings(ca=twice)) == ("ca.passphrase_file: given beside ca.passphrase",)
    for one in (CaSettings(folder="ca", passphrase="p"), CaSettings(folder="ca", passphrase_file="f")):
        assert checked(Settings(ca=one)).ca == one
    assert "secret-p" not in repr(CaSettings(passphrase="secret-p"))


def test_a_certificate_is_not_renewed_as_soon_as_it_is_made():
    wrong = CaSettings(lifetime_days=30)
    assert errors(checked, Settings(ca=wrong)) == (
        "ca.renew_before_days: must be less than ca.lifetime_days, which is 30",
    )
    assert checked(Settings(ca=CaSettings(lifetime_days=30, renew_before_days=0)))
