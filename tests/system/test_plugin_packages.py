"""Plugins that are named: installed packages, classes, and their own settings."""

import sys
from dataclasses import dataclass

import pytest

from chargehand import (
    CentralSystem,
    ConfigError,
    Plugin,
    PluginSettings,
    Settings,
    on,
    passive,
    required,
    resource,
    setting,
    v16,
)
from chargehand.config.rendering import redacted
from chargehand.protocol.events import Booted
from chargehand.system.plugin_packages import (
    PluginNotFound,
    check_plugins,
    facts_of,
    installed_plugins,
    load_plugin,
)

HERE = __name__


@dataclass(frozen=True, kw_only=True)
class ShopSettings:
    """Settings of the plugin of these tests."""

    url: str = required("Address.", pattern=r"https?://.+", wanted="a URL")
    retries: int = setting(3, "Tries.", least=1)
    secret: str = setting("", "Key.", secret=True)
    api_token: str = ""
    labels: tuple[str, ...] = ()

    def conflicts(self):
        if self.retries > 5 and not self.secret:
            yield "secret", "missing, though retries is over 5"


class Shop(Plugin):
    """Plugin with settings of its own."""

    settings_class = ShopSettings

    def __init__(self, settings, *, more=0):
        super().__init__()
        self.settings = settings
        self.more = more

    @on(Booted)
    def booted(self, event):
        pass


class Bare(Plugin):
    """Plugin without settings."""

    @passive(v16.Authorize)
    def authorize(self, call):
        return {"idTagInfo": {"status": "Accepted"}}


def shop(**given):
    return PluginSettings(class_name=f"{HERE}:Shop", name="shop", settings=given)


def test_a_plugin_gets_its_own_settings_checked_and_typed():
    spec = load_plugin(shop(url="https://shop.example", labels=["a"]))
    assert spec.args == (ShopSettings(url="https://shop.example", labels=("a",)),)
    assert spec.name == "shop"


def test_arguments_come_beside_the_settings():
    given = PluginSettings(class_name=f"{HERE}:Shop", settings={"url": "http://a"}, arguments={"more": 2})
    spec = load_plugin(given)
    assert (spec.args[0].url, spec.kwargs) == ("http://a", {"more": 2})


@pytest.mark.parametrize(
    ("given", "errors"),
    [
        ({}, ["plugins.shop.url: missing"]),
        ({"url": "ftp://a"}, ['plugins.shop.url: must be a URL, not "ftp://a"']),
        (
            {"url": "http://a", "retrys": 1},
            ['plugins.shop.retrys: unknown; did you mean "retries"?'],
        ),
        (
            {"url": "http://a", "concurency": 1},
            ['plugins.shop.concurency: unknown; did you mean "concurrency"?'],
        ),
        (
            {"retries": 0, "blue": 1},
            [
                "plugins.shop.blue: unknown",
                "plugins.shop.retries: must be a whole number, at least 1, not 0",
                "plugins.shop.url: missing",
            ],
        ),
        ({"url": "http://a", "secret": 5}, ["plugins.shop.secret: must be text"]),
        ({"url": "http://a", "retries": 9}, ["plugins.shop.secret: missing, though retries is over 5"]),
    ],
)
def test_every_fault_of_a_plugins_settings_is_told_at_once(given, errors):
    with pytest.raises(ConfigError) as caught:
        load_plugin(shop(**given))
    assert sorted(caught.value.errors) == errors


def test_a_plugin_without_settings_refuses_all_of_them():
    with pytest.raises(ConfigError) as caught:
        load_plugin(PluginSettings(class_name=f"{HERE}:Bare", settings={"threds": 1, "colour": 2}))
    near, far = caught.value.errors
    assert near == 'plugins.Bare.threds: unknown; did you mean "threads"?'
    assert far.startswith("plugins.Bare.colour: unknown; the plugin has no settings of its own; there are ")


def test_the_faults_of_several_plugins_are_told_together():
    with pytest.raises(ConfigError) as caught:
        check_plugins([shop(), PluginSettings(class_name="nowhere:Plugin", name="n"), shop(url="x")])
    assert [error.partition(": ")[0] for error in caught.value.errors] == [
        "plugins.shop.url",
        "plugins.n",
        "plugins.shop.url",
    ]


def test_settings_are_printed_with_their_defaults_and_without_secrets():
    given = (
        shop(url="http://a", secret="s3", api_token="t"),
        PluginSettings(class_name=f"{HERE}:Bare", concurrency=1),
    )
    text = redacted(Settings(plugins=given), check_plugins(given))
    assert "s3" not in text
    table = text.partition("[plugins.shop]\n")[2].partition("\n\n")[0].splitlines()
    assert 'url = "http://a"' in table
    assert "retries = 3" in table
    assert 'secret = "***"' in table
    assert 'api_token = "***"' in table
    assert "[plugins.Bare]" in text


def test_a_name_that_no_package_has_is_told_with_the_nearest(tmp_path, monkeypatch):
    info = tmp_path / "shop_of_tests-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shop-of-tests\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[chargehand.plugins]\nshop-of-tests = {HERE}:Shop\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    found = installed_plugins()["shop-of-tests"]
    assert found == ("shop-of-tests", f"{HERE}:Shop", "shop-of-tests", "1.2")
    spec = load_plugin(PluginSettings(class_name="shop-of-tests", settings={"url": "http://a"}))
    assert (spec.plugin, spec.name) == (Shop, "shop-of-tests")
    with pytest.raises(PluginNotFound, match='did you mean "shop-of-tests"'):
        load_plugin(PluginSettings(class_name="shop-of-test"))


def test_the_facts_of_a_plugin_have_no_secret():
    facts = facts_of(load_plugin(shop(url="http://a", secret="s3")))
    assert facts["class"] == f"{HERE}:Shop"
    assert facts["settings"]["secret"] == "***"
    assert facts_of(Bare.spec())["settings"] is None


def test_a_system_starts_a_plugin_with_its_settings():
    settings = Settings(port=0, plugins=(shop(url="http://a"),))
    with CentralSystem(settings) as system:
        (row,) = [row for row in system.plugins() if row["id"] == "shop"]
        assert row["settings"]["url"] == "http://a"


@pytest.mark.parametrize("path", ["", "/a", "a//b", "a b", "{A}", "release", "promote"])
def test_a_path_that_can_be_none_is_refused_where_it_is_declared(path):
    with pytest.raises(ValueError, match=r"is not a path|supervision"):
        resource("GET", path)
