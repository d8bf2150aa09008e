"""Settings that count while a system runs: a plugin is started with its new ones, and everything else goes on."""

from dataclasses import dataclass, replace

import pytest

from chargehand import (
    BackOfficeSettings,
    CentralSystem,
    ConfigError,
    Plugin,
    PluginSettings,
    TagSettings,
    passive,
    v16,
)
from chargehand.config.reload import Reload
from chargehand.config.sessions import AuthSettings, SessionSettings
from chargehand.config.setting import required

from ..hub import until
from ..in_process import SETTINGS, connect


@dataclass(frozen=True, kw_only=True)
class GateSettings:
    """Settings of the plugin of these tests."""

    status: str = required("Answer.", pattern=r"Accepted|Blocked", wanted="a status")


class Gate(Plugin):
    """Plugin that answers what its settings say."""

    settings_class = GateSettings

    def __init__(self, settings):
        super().__init__()
        self.settings = settings

    @passive(v16.Authorize)
    def authorize(self, call):
        return {"idTagInfo": {"status": self.settings.status}}


def gate(status):
    return (PluginSettings(class_name=f"{__name__}:Gate", name="gate", settings={"status": status}),)


@pytest.fixture
def system():
    with CentralSystem(replace(SETTINGS, plugins=gate("Accepted"))) as started:
        yield started


def test_a_plugin_answers_by_its_new_settings_and_connections_go_on(system):
    with connect(system, "CP1") as charge_point:
        charge_point.boot()
        assert charge_point.authorize("T1").status == "Accepted"
        told = system.apply_settings(replace(system.settings, plugins=gate("Blocked")))
        assert told.changed == ("plugins",)
        until(lambda: charge_point.authorize("T1").status == "Blocked")
        assert system.settings.plugins == gate("Blocked")
        assert system.charge_point("CP1").connected
    assert "plugin_crashed" not in system.counters.counts


def test_settings_of_a_plugin_that_cannot_be_used_change_nothing(system):
    before = system.settings
    with pytest.raises(ConfigError, match=r"plugins\.gate\.status: must be a status"):
        system.apply_settings(
            replace(before, plugins=gate("Perhaps"), sessions=SessionSettings(max_connections=1))
        )
    assert system.settings is before
    assert system._parts.gatekeeper._settings is before


def test_credentials_limits_and_tags_count_at_once(system):
    told = system.apply_settings(
        replace(
            system.settings,
            port=1,
            auth=AuthSettings(credentials={"CP1": "0123456789abcdef"}),
            sessions=replace(system.settings.sessions, max_connections=7, max_message_bytes=500),
            back_office=BackOfficeSettings(tags={"T9": TagSettings(status="Blocked")}),
        )
    )
    assert isinstance(told, Reload)
    names = {"auth.credentials", "sessions.max_connections", "sessions.max_message_bytes", "back_office.tags"}
    assert set(told.changed) == names
    assert told.waiting == ("port",)
    assert system.credentials.asked("CP2")
    assert system.store.collections.tags.get("t9").status == "Blocked"
    assert {server.limits.max_message_bytes for server in system._parts.tree.servers.values()} == {500}
    assert system.settings.port == SETTINGS.port


def test_a_system_that_does_not_run_takes_no_settings():
    with pytest.raises(RuntimeError, match="not running"):
        CentralSystem(SETTINGS).apply_settings(SETTINGS)
