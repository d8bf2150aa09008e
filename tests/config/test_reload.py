"""Settings that change at a reload, and those that wait for a restart."""

from dataclasses import replace

import pytest

from chargehand.config.load import settings_names
from chargehand.config.reload import RELOADED, reloaded, renewed_plugins, with_values
from chargehand.config.sessions import AuthSettings, SessionSettings
from chargehand.config.settings import HttpSettings, LogSettings, PluginSettings, Settings

OLD = Settings(auth=AuthSettings(credentials={"CP1": "0123456789abcdef"}))


def test_every_setting_that_is_reloaded_exists():
    assert set(settings_names()) >= RELOADED


def test_equal_settings_change_nothing():
    told = reloaded(OLD, replace(OLD))
    assert (told.settings, told.changed, told.waiting) == (OLD, (), ())
    assert told.settings.sessions is OLD.sessions


def test_some_count_at_once_and_the_others_wait():
    new = Settings(
        port=9100,
        auth=AuthSettings(credentials={"CP2": "0123456789abcdef"}, realm="other"),
        log=LogSettings(level="DEBUG", format="json"),
        sessions=SessionSettings(max_connections=7),
    )
    told = reloaded(OLD, new)
    assert told.changed == ("auth.credentials", "sessions.max_connections", "log.level")
    assert told.waiting == ("port", "auth.realm", "log.format")
    assert told.settings == replace(
        OLD,
        auth=replace(OLD.auth, credentials=new.auth.credentials),
        log=replace(OLD.log, level="DEBUG"),
        sessions=new.sessions,
    )


def test_a_token_that_is_taken_out_of_the_settings_stays_until_a_restart():
    old = replace(OLD, http=HttpSettings(token="t" * 20))
    told = reloaded(old, OLD)
    assert (told.settings, told.changed, told.waiting) == (old, (), ("http.token",))
    assert reloaded(OLD, old).changed == ("http.token",)


def test_what_a_process_has_of_its_own_stays():
    handed_over = replace(OLD, port=4711, http=HttpSettings(token="made at the start"))
    new = replace(OLD, sessions=SessionSettings(max_connections=7))
    told = with_values(handed_over, new, ["sessions.max_connections"])
    assert (told.port, told.http, told.sessions) == (4711, handed_over.http, new.sessions)


def plugin(name="shop", **more):
    return PluginSettings(class_name="shop:Shop", name=name, **more)


def test_plugins_go_on_with_other_settings_and_arguments():
    old = replace(OLD, plugins=(plugin(), plugin("audit", settings={"a": 1})))
    new = replace(OLD, plugins=(plugin(arguments={"b": 2}), plugin("audit", settings={"a": 1})))
    told = reloaded(old, new)
    assert (told.settings, told.changed, told.waiting) == (new, ("plugins",), ())
    assert renewed_plugins(old, new) == [new.plugins[0]]


@pytest.mark.parametrize(
    "plugins",
    [
        (),
        (plugin(), plugin("audit")),
        (plugin("other"),),
        (plugin(concurrency=1, settings={"a": 1}),),
        (plugin(scope="cluster", settings={"a": 1}),),
    ],
)
def test_plugins_that_change_otherwise_wait_for_a_restart(plugins):
    old = replace(OLD, plugins=(plugin(scope=plugins[-1].scope) if plugins else plugin(),))
    told = reloaded(old, replace(OLD, plugins=plugins))
    assert (told.settings, told.changed, told.waiting) == (old, (), ("plugins",))
