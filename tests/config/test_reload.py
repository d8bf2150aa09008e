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
    ("plugins", "waiting"),
    [
        ((), "plugins.shop (gone)"),
        ((plugin(), plugin("audit")), "plugins.audit (new)"),
        ((plugin("other"),), "plugins.other (new), plugins.shop (gone)"),
        ((plugin(concurrency=1, settings={"a": 1}),), "plugins.shop (concurrency)"),
        ((plugin(scope="cluster", blocking=True),), "plugins.shop (blocking, scope)"),
        ((PluginSettings(class_name="new:Shop", name="shop"),), "plugins.shop (class)"),
    ],
)
def test_plugins_that_change_otherwise_wait_for_a_restart(plugins, waiting):
    old = replace(OLD, plugins=(plugin(),))
    told = reloaded(old, replace(OLD, plugins=plugins))
    assert (told.settings, told.changed, ", ".join(told.waiting)) == (old, (), waiting)


def test_a_plugin_with_other_settings_counts_beside_one_that_waits():
    old = replace(OLD, plugins=(plugin("a"), plugin("b"), plugin("c", scope="cluster")))
    new = replace(OLD, plugins=(plugin("a", threads=2), plugin("b", settings={"a": 1}), plugin("d"),
                                plugin("c", scope="cluster", settings={"c": 2})))  # fmt: skip
    told = reloaded(old, new)
    assert told.settings.plugins == (old.plugins[0], new.plugins[1], new.plugins[3])
    assert told.changed == ("plugins",)
    assert told.waiting == ("plugins.d (new)", "plugins.a (threads)")
    assert renewed_plugins(old, new) == [new.plugins[1], new.plugins[3]]


def test_plugins_in_another_order_wait_for_a_restart():
    old = replace(OLD, plugins=(plugin("a"), plugin("b")))
    new = replace(OLD, plugins=(plugin("b"), plugin("a")))
    assert reloaded(old, new).waiting == ("plugins (their order)",)
