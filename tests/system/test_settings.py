"""Settings made by hand, plugins named in settings, and starts that fail late."""

import socket
import sys
import types

import pytest
from gevent.event import Event

from chargehand import (
    BackOfficeSettings,
    CentralSystem,
    HttpSettings,
    Plugin,
    PluginSettings,
    SessionSettings,
    Settings,
    SupervisionSettings,
    TagSettings,
    TlsSettings,
    passive,
    serve_http,
    v16,
)
from chargehand.config.errors import ConfigError
from chargehand.simulator import ChargePoint
from chargehand.system.plugin_packages import PluginNotFound

from ..in_process import QUICK
from ..leftovers import Snapshot

MODULE = "a_module_of_these_tests"


def settings_with(**settings):
    return Settings(port=0, supervision=QUICK, **settings)


# By hand


def test_settings_that_cannot_be_are_refused_before_anything_starts():
    wrong = Settings(port=-1, path="/no/id", sessions=SessionSettings(queue_limit=0))
    with pytest.raises(ConfigError) as caught:
        CentralSystem(wrong)
    assert [line.partition(":")[0] for line in caught.value.errors] == [
        "port",
        "path",
        "sessions.queue_limit",
    ]


def test_settings_that_contradict_one_another_are_refused_too():
    with pytest.raises(ConfigError, match=r"tls\.key: missing"):
        CentralSystem(Settings(tls=TlsSettings(certificate="chain.pem")))


def test_what_stands_for_something_exact_is_made_exact():
    system = CentralSystem(
        Settings(port=0, plugins=["shop.tags:Tags"], sessions=SessionSettings(command_timeout_s=5))
    )
    assert system.settings.plugins == (PluginSettings(class_name="shop.tags:Tags"),)
    assert type(system.settings.sessions.command_timeout_s) is float


def test_settings_reach_what_they_are_for():
    office = BackOfficeSettings(registration="Pending", tags={"T1": TagSettings(status="Blocked")})
    settings = settings_with(back_office=office, policy="strict", path="/{name}/{id}")
    with CentralSystem(settings) as system:
        charge_point = ChargePoint(f"ws://127.0.0.1:{system.port}/east", "CP1")
        try:
            charge_point.connect()
            assert charge_point.send(
                v16.BootNotification(charge_point_vendor="V", charge_point_model="M")
            ).status == ("Pending")
            assert system.store.registration("CP1").status == "Pending"
            assert system.charge_point("CP1").name == "east"
            assert system.store.collections.tags.get("t1").status == "Blocked"
        finally:
            charge_point.close()


# Plugins that settings name


@pytest.fixture
def module():
    """Module that plugins are loaded from."""
    sys.modules[MODULE] = module = types.ModuleType(MODULE)
    yield module
    del sys.modules[MODULE]


class Tags(Plugin):
    """Answers Authorize with the status that it was made with."""

    def __init__(self, status="Invalid"):
        super().__init__()
        self.status = status

    @passive(v16.Authorize)
    def authorize(self, call):
        return {"idTagInfo": {"status": self.status}}


def test_a_plugin_that_settings_name_is_made_with_its_arguments(module):
    module.Tags = Tags
    plugin = PluginSettings(
        class_name=f"{MODULE}:Tags", arguments={"status": "Blocked"}, concurrency=1, name="tags"
    )
    with CentralSystem(settings_with(plugins=(plugin,))) as system:
        with ChargePoint(f"ws://127.0.0.1:{system.port}/ocpp", "CP1") as charge_point:
            assert charge_point.send(v16.Authorize(id_tag="T1")).id_tag_info.status == "Blocked"
        assert [row["id"] for row in system.plugins()] == [
            "tags",
            "accepted-state",
            "authorization-keys",
            "back-office",
            "back-office-201",
            "reports-201",
            "security-profiles",
        ]


def test_of_plugins_given_in_code_and_by_settings_the_one_in_code_answers(module):
    module.Tags = Tags
    named = PluginSettings(class_name=f"{MODULE}:Tags", arguments={"status": "Blocked"}, name="named")
    with (
        CentralSystem(settings_with(plugins=(named,)), plugins=[Tags]) as system,
        ChargePoint(f"ws://127.0.0.1:{system.port}/ocpp", "CP1") as charge_point,
    ):
        assert charge_point.send(v16.Authorize(id_tag="T1")).id_tag_info.status == "Invalid"


class NotAPlugin:
    """Class that is no plugin."""


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("no_such_module_at_all:Tags", "No module named"),
        (f"{MODULE}:Nothing", "Nothing"),
        (f"{MODULE}:NotAPlugin", "not a class derived from Plugin"),
        (f"{MODULE}:NotAPlugin.deeper", "deeper"),
        (f"{MODULE}:number", "not a class derived from Plugin"),
    ],
)
def test_a_plugin_that_is_not_there_fails_the_start_and_leaves_nothing(module, name, why):
    module.NotAPlugin, module.number = NotAPlugin, 5
    before = Snapshot()
    system = CentralSystem(settings_with(plugins=(PluginSettings(class_name=name),)), plugins=[Tags])
    with pytest.raises(PluginNotFound, match=why):
        system.start()
    assert before.left_behind() == []
    with pytest.raises(RuntimeError, match="not running"):
        system.send("CP1", v16.ClearCache())


def test_arguments_that_a_plugin_does_not_take_fail_the_start(module):
    module.Tags = Tags
    plugin = PluginSettings(class_name=f"{MODULE}:Tags", arguments={"colour": "red"})
    with pytest.raises(TypeError, match="colour"):
        CentralSystem(settings_with(plugins=(plugin,))).start()


def test_an_action_that_is_none_fails_the_start():
    class Odd(Plugin):
        @passive("NoSuchAction")
        def odd(self, call):
            return {}

    with pytest.raises(ValueError, match="NoSuchAction is not an action"):
        CentralSystem(settings_with(), plugins=[Odd]).start()


# A start that fails late


def test_a_start_whose_last_port_is_taken_lets_go_of_the_first():
    closed = []

    class Watching(Plugin):
        def on_stop(self):
            closed.append("plugin")

    before = Snapshot()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        http = HttpSettings(enabled=True, open=True, port=taken.getsockname()[1])
        system = CentralSystem(settings_with(http=http), plugins=[Watching], http=serve_http)
        with pytest.raises(OSError, match="in use"):
            system.start()
        with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", system.port)):
            pass
    assert closed == ["plugin"]
    assert before.left_behind() == []
    with system:  # the port is free now
        assert system.http_port == http.port


def test_a_start_that_failed_can_be_tried_again_and_fails_again():
    class Broken(Plugin):
        def on_start(self):
            raise ValueError("no database")

    system = CentralSystem(settings_with(), plugins=[Broken])
    for _ in range(2):
        with pytest.raises(ValueError, match="no database"):
            system.start()
        assert system.wait(0) is True
        assert system.describe() == {}


# Stopping


def test_every_plugin_has_its_own_time_to_stop_unless_the_whole_is_limited():
    stopped = []

    class Slow(Plugin):
        def on_stop(self):
            Event().wait(0.25)  # in real time, against the limits below
            stopped.append(self)

    plugins = [Slow.spec(name=name) for name in ("A", "B")]
    for limit_s, count in ((0.0, 2), (0.1, 0)):
        stopped.clear()
        supervision = SupervisionSettings(shutdown_s=2.0, stop_timeout_s=limit_s)
        with CentralSystem(Settings(port=0, supervision=supervision), plugins=plugins):
            pass
        assert len(stopped) == count
