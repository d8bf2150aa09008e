"""A nested dict becomes settings, or a list of all its faults."""

from datetime import UTC, datetime
from typing import get_type_hints

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from chargehand.config import sessions
from chargehand.config import settings as declared
from chargehand.config.schema import nearest, plain, read, schema_of
from chargehand.config.sessions import BackOfficeSettings, TagSettings
from chargehand.config.setting import Section
from chargehand.config.settings import PluginSettings, Settings

DECLARED = {**vars(sessions), **vars(declared)}
SECTIONS = [cls for cls in DECLARED.values() if isinstance(cls, type) and issubclass(cls, Section)]
SECTIONS.remove(Section)


def faults(data):
    return [f"{'.'.join(path)}: {text}" for path, text in read(data)[1]]


def settings(data):
    made, found = read(data)
    assert found == []
    return made


def test_an_empty_file_means_the_defaults():
    assert settings({}) == Settings()


def test_settings_written_out_and_read_again_are_the_same():
    made = Settings(
        port=0,
        plugins=(PluginSettings(class_name="shop.tags:Tags", arguments={"known": ["T1"]}, concurrency=1),),
        back_office=BackOfficeSettings(
            tags={"T1": TagSettings(status="Blocked", expiry=datetime(2030, 1, 1, tzinfo=UTC))},
        ),
    )
    assert settings(plain(made)) == made


@pytest.mark.parametrize("section", SECTIONS, ids=lambda cls: cls.__name__)
def test_the_schema_of_a_section_has_all_its_fields(section):
    assert set(schema_of(section)().fields) == set(get_type_hints(section))


def test_every_fault_is_told_at_once():
    found = faults(
        {
            "port": "9000",
            "polcy": "strict",
            "sessions": {"queue_limit": 0, "on_duplicate": "takeovr", "command_timeout_s": float("nan")},
            "http": 3,
        },
    )
    assert sorted(found) == [
        "http: must be a table, not 3",
        'polcy: unknown; did you mean "policy"?',
        'port: must be a whole number, from 0 to 65535, not "9000"',
        "sessions.command_timeout_s: must be a number, above 0, not nan",
        'sessions.on_duplicate: must be "takeover" or "refuse", not "takeovr"; did you mean "takeover"?',
        "sessions.queue_limit: must be a whole number, at least 1, not 0",
    ]


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ({"host": 1}, "host: must be text, not 1"),
        ({"host": ""}, 'host: must be an address, not ""'),
        ({"host": None}, "host: must not be null"),
        ({"open": 1}, "open: must be true or false, not 1"),
        ({"port": True}, "port: must be a whole number, from 0 to 65535, not true"),
        ({"port": 65536}, "port: must be a whole number, from 0 to 65535, not 65536"),
        ({"port": 80.0}, "port: must be a whole number, from 0 to 65535, not 80.0"),
        ({"plugins": "a:B"}, 'plugins: must be a list, not "a:B"'),
        ({"plugins": [{}]}, "plugins.0.class: missing"),
        (
            {"plugins": ["a:B", "a:"]},
            'plugins.1: must be "package.module:Class" or the name of an installed plugin, not "a:"',
        ),
        ({"plugins": {"a": {"class": 1}}}, "plugins.a.class: must be text, not 1"),
        ({"plugins": {"a": 1}}, "plugins.a: must be a table, not 1"),
        ({"plugins": {"a": {"settings": 1}}}, "plugins.a.settings: must be a table, not 1"),
        ({"deadlines": {"actions": []}}, "deadlines.actions: must be a table, not a list"),
        ({"deadlines": {"actions": {"Boot": 0}}}, "deadlines.actions.Boot: must be a number, above 0, not 0"),
        ({"log": {"levels": {"x": "LOUD"}}}, None),
    ],
)
def test_a_wrong_value_is_told_with_what_would_be_right(data, fault):
    found = faults(data)
    assert len(found) == 1
    assert found[0] == (fault or found[0])
    assert found[0].startswith("log.levels.x: must be ") or fault


@pytest.mark.parametrize(
    "path", ["/ocpp/{id}", "/{id}", "/{name}/{id}", "/a/{name}/b/{id}", "/ocpp-1.6/{id}"]
)
def test_a_path_template_ends_with_the_identity(path):
    assert settings({"path": path}).path == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "ocpp/{id}",
        "/ocpp",
        "/{id}/x",
        "/{id}/{id}",
        "/ocpp/{id}/",
        "/cp-{id}",
        "/{nam}/{id}",
        "/a b/{id}",
        "/{id}\n",
    ],
)
def test_any_other_path_template_is_refused(path):
    assert len(faults({"path": path})) == 1


def test_a_key_below_the_wrong_table_is_told_its_place():
    assert faults({"sessions": {"data": "x"}, "queue_limit": 3}) == [
        'sessions.data: unknown here; did you mean "data" above the first [table]?',
        'queue_limit: unknown here; did you mean "queue_limit" in [sessions]?',
    ]


def test_a_word_like_no_other_is_just_unknown():
    assert faults({"zzz": 1}) == ["zzz: unknown"]


def test_a_whole_number_passes_where_seconds_are_due():
    timeout = settings({"sessions": {"command_timeout_s": 30}}).sessions.command_timeout_s
    assert (timeout, type(timeout)) == (30.0, float)


def test_a_bare_string_stands_for_a_plugin():
    assert settings({"plugins": ["shop.tags:Tags"]}).plugins == (PluginSettings(class_name="shop.tags:Tags"),)


def test_a_bare_string_stands_for_the_status_of_a_tag():
    made = settings({"back_office": {"tags": {"T1": "Blocked", "T2": {"parent": "F"}}}})
    assert made.back_office.tags == {"T1": TagSettings(status="Blocked"), "T2": TagSettings(parent="F")}


def test_a_tag_runs_out_at_a_time_with_its_offset():
    tags = {"A": {"expiry": datetime(2030, 1, 1, tzinfo=UTC)}, "B": {"expiry": "2030-01-01T00:00:00Z"}}
    read_back = settings({"back_office": {"tags": tags}}).back_office.tags
    assert read_back["A"].expiry == read_back["B"].expiry == datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("expiry", ["tomorrow", "2030-01-01T00:00:00", datetime(2030, 1, 1), 7])  # noqa: DTZ001
def test_a_tag_with_a_naive_expiry_is_refused(expiry):
    assert len(faults({"back_office": {"tags": {"A": {"expiry": expiry}}}})) == 1


@pytest.mark.parametrize("data", [{"auth": {"credentials": {"CP1": 7341}}}, {"http": {"token": 7341}}])
def test_a_wrong_secret_is_not_shown(data):
    found = faults(data)
    assert len(found) == 1
    assert "7341" not in found[0]


@pytest.mark.parametrize(
    "store", ["postgres", "mysql://me:s3cret@h/d", "postgresql:/me:s3cret@h", "postgresql://", 7]
)
def test_a_store_that_is_none_is_refused_without_its_password(store):
    (found,) = faults({"store": store})
    assert "postgresql://user@host/database" in found or "must be text" in found
    assert "s3cret" not in found


@pytest.mark.parametrize("store", ["memory", "sqlite", "postgres://h/d", "postgresql://me:pw@a:1,b:2/d?x=y"])
def test_a_store_that_there_may_be_is_taken(store):
    assert faults({"store": store}) == []


def test_case_does_not_hide_the_nearest_word():
    assert nearest("INFFO", ["info", "debug"]) == "info"


NAMES = st.sampled_from([*plain(Settings()), *plain(Settings())["sessions"], "class", "a:B", "T1", "ä\n", ""])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | NAMES | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=6,
)


@hypothesis_settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(NAMES, VALUES | st.dictionaries(NAMES, VALUES, max_size=6), max_size=8))
def test_no_data_at_all_raises_anything(data):
    made, found = read(data)
    assert (made is None) == bool(found)


def test_a_table_for_each_plugin_has_its_own_settings_beside_those_of_its_run():
    given = {
        "webhooks": {"url": "https://a.example", "concurrency": 2, "settings": {"threads": 1}},
        "tags": "shop.tags:Tags",
        "crm": {"class": "webhooks", "name": "N", "url": "u"},
    }
    assert settings({"plugins": given}).plugins == (
        PluginSettings(
            class_name="webhooks",
            name="webhooks",
            concurrency=2,
            settings={"url": "https://a.example", "threads": 1},
        ),
        PluginSettings(class_name="shop.tags:Tags", name="tags"),
        PluginSettings(class_name="webhooks", name="crm", settings={"name": "N", "url": "u"}),
    )
