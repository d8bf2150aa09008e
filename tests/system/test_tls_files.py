"""Certificates of a process: changed files are read again, and what runs out is warned of."""

import datetime as dt

import pytest

from chargehand import CertificateExpiring, TlsError
from chargehand.actors.runtime.timers import Timers
from chargehand.config.settings import HttpSettings, Settings, TlsSettings
from chargehand.system.tls_files import TlsFiles
from chargehand.testing import ManualClock

from ..certificates import make_certificate


class Harness:
    """Files of TLS with a clock of the test's own, and what they have counted and published."""

    def __init__(self, pair, **settings):
        self.counts, self.events = [], []
        self.clock = ManualClock()
        self.timers = Timers(self.clock)
        self.now = dt.datetime.now(dt.UTC)
        chain, key = map(str, pair)
        http = HttpSettings(enabled=True, tls=True)
        settings = Settings(tls=TlsSettings(certificate=chain, key=key, **settings), http=http)
        self.files = TlsFiles(settings, self.timers, self, lambda: self.now, self.events.append)
        self.files.start()

    def count(self, name, _charge_point_id):
        self.counts.append(name)

    def passes(self, seconds):
        self.clock.advance(seconds)
        self.timers.run_due()


@pytest.fixture
def pair(tmp_path):
    return make_certificate(tmp_path, "server", days=100)


def renew(pair, tmp_path):
    (tmp_path / "new").mkdir()
    for new, old in zip(make_certificate(tmp_path / "new", "server", days=200), pair, strict=True):
        new.replace(old)


def test_changed_files_are_read_again_within_the_time_of_the_setting(pair, tmp_path, caplog):
    caplog.set_level("INFO")
    harness = Harness(pair, reload_s=5.0)
    before = [harness.files.wss.loaded, harness.files.http.loaded]
    renew(pair, tmp_path)
    harness.passes(4.0)
    assert [harness.files.wss.loaded, harness.files.http.loaded] == before
    harness.passes(2.0)
    assert harness.files.wss.loaded.fingerprints == harness.files.http.loaded.fingerprints
    assert harness.files.wss.loaded.fingerprints != before[0].fingerprints
    assert harness.counts == ["tls_reloaded"]
    assert "certificates were read again: " in caplog.text


def test_files_of_no_use_are_logged_once_and_those_before_stay(pair, tmp_path, caplog):
    harness = Harness(pair, reload_s=5.0)
    before = harness.files.wss.loaded
    pair[0].write_text("junk")
    for _ in range(3):
        harness.passes(6.0)
    assert harness.counts == ["tls_reload_failed"]
    assert caplog.text.count("the certificates before stay in use") == 1
    assert harness.files.wss.loaded is before
    with pytest.raises(TlsError, match=r"server\.pem"):
        harness.files.reload()
    renew(pair, tmp_path)
    harness.passes(6.0)
    assert harness.counts[-1] == "tls_reloaded"


def test_files_are_not_looked_at_without_an_interval_or_when_stopped(pair, tmp_path):
    never, stopped = Harness(pair, reload_s=0.0), Harness(pair, reload_s=5.0)
    stopped.files.stop()
    renew(pair, tmp_path)
    for harness in (never, stopped):
        harness.passes(60.0)
        assert harness.counts == []


def test_what_runs_out_is_warned_of_once_a_day_by_log_counter_and_event(pair, caplog):
    harness = Harness(pair, expiry_warn_days=30.0)
    assert harness.counts == []
    harness.now += dt.timedelta(days=80)
    harness.files.warn()
    harness.files.warn()
    assert harness.counts == ["certificate_expiring"]
    (event,) = harness.events
    assert (type(event), event.name, event.file) == (
        CertificateExpiring,
        "certificate CN=server",
        str(pair[0]),
    )
    assert "runs out at" in caplog.records[-1].message
    assert "tls.expiry_warn_days" in caplog.records[-1].message
    harness.now += dt.timedelta(days=30)
    harness.clock.advance(86_401)
    harness.files.warn()
    assert caplog.records[-1].levelname == "ERROR"
    assert "ran out at" in caplog.records[-1].message


def test_the_view_names_each_certificate_and_its_end(pair):
    (row,) = Harness(pair).files.view()
    assert (row["use"], row["file"], row["name"], row["key"]) == (
        "server",
        str(pair[0]),
        "CN=server",
        "ECDSA",
    )
    assert row["expires_at"] > dt.datetime.now(dt.UTC)
