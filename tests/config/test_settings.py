"""Declarations of the settings: frozen, documented, and silent about secrets."""

import dataclasses
import datetime as dt
import pickle

import pytest

from chargehand.config import sessions
from chargehand.config import settings as declared
from chargehand.config.checks import checked
from chargehand.config.errors import ConfigError
from chargehand.config.sessions import AuthSettings
from chargehand.config.setting import Section, rules_of
from chargehand.config.settings import HttpSettings, PluginSettings, Settings

DECLARED = {**vars(sessions), **vars(declared)}
SECTIONS = [cls for cls in DECLARED.values() if isinstance(cls, type) and issubclass(cls, Section)]
SECTIONS.remove(Section)


def test_an_embedder_builds_settings_by_hand():
    settings = Settings(port=0, http=HttpSettings(enabled=True))
    assert (settings.port, settings.http.enabled, settings.sessions.command_timeout_s) == (0, True, 60.0)


def test_the_library_opens_no_http_port_unless_asked():
    assert Settings().http.enabled is False


@pytest.mark.parametrize("section", SECTIONS, ids=lambda cls: cls.__name__)
def test_every_section_is_frozen_slotted_and_keyword_only(section):
    made = section(
        **{one.name: "a:B" for one in dataclasses.fields(section) if one.default is one.default_factory}
    )
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(made, dataclasses.fields(section)[0].name, None)
    assert not hasattr(made, "__dict__")
    with pytest.raises(TypeError):
        section("positional")


@pytest.mark.parametrize("section", SECTIONS, ids=lambda cls: cls.__name__)
def test_every_setting_has_a_sentence_of_documentation(section):
    for field in dataclasses.fields(section):
        assert rules_of(field).doc.endswith("."), field.name
        assert "\n" not in rules_of(field).doc, field.name


def test_repr_shows_no_secret():
    text = repr(Settings(auth=AuthSettings(credentials={"CP1": "hush"}), http=HttpSettings(token="quiet")))
    assert "hush" not in text
    assert "quiet" not in text


def test_settings_travel_to_another_process():
    settings = Settings(plugins=(PluginSettings(class_name="a:B", arguments={"x": [1]}),))
    assert pickle.loads(pickle.dumps(settings)) == settings


@pytest.mark.parametrize(
    ("setting", "zone"),
    [
        ("utc", dt.UTC),
        ("refuse", None),
        ("+02:00", dt.timezone(dt.timedelta(hours=2))),
        ("-03:30", dt.timezone(-dt.timedelta(hours=3, minutes=30))),
    ],
)
def test_the_zone_of_times_without_one_is_a_setting(setting, zone):
    assert Settings(naive_times=setting).naive_zone == zone


@pytest.mark.parametrize("setting", ["UTC", "+2", "+24:00", "Europe/Berlin", ""])
def test_another_zone_is_refused(setting):
    with pytest.raises(ConfigError, match="naive_times"):
        checked(Settings(naive_times=setting))
