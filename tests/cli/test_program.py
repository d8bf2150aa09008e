"""`chargehand serve` as a process: its start, and every way in which it ends."""

import http.client
import json
import resource
import signal
import stat
import time
import tomllib
from urllib.parse import urlsplit

import pytest

from chargehand.cli.program import raise_open_files

pytestmark = pytest.mark.slow

PLUGIN = """
import gevent
from chargehand import Plugin, passive, v16

class Tags(Plugin):
    @passive(v16.Authorize)
    def authorize(self, call):
        return {"idTagInfo": {"status": "Blocked"}}

class Broken(Plugin):
    def __init__(self):
        raise RuntimeError("planted")

class SlowToStop(Plugin):
    def on_stop(self):
        gevent.sleep(60)

class Fatal(Plugin):
    def on_start(self):
        gevent.spawn_later(0.2, self.system._root.kill if self.system._root else self.later)

    def later(self):
        self.system._root.kill()

class Spinning(Plugin):
    def on_start(self):
        gevent.spawn_later(0.2, self.spin)

    def spin(self):
        print("spins", flush=True)
        while True:
            pass
"""
FILES = {"files": {"shop.py": PLUGIN}}


def get(url, path, token=""):
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_it_says_what_it_does_and_is_ready_when_it_says_so(serve_process):
    running = serve_process(python=("-W", "always"))
    told = running.ready()
    assert told["pid"] == running.process.pid
    assert get(told["http"], "/healthz") == (200, {"status": "ok", "connected": 0})
    token = (running.data / "token").read_text().strip()
    assert get(told["http"], "/api/v1/charge-points", token)[0] == 200
    assert {stat.S_IMODE(path.stat().st_mode) for path in running.data.iterdir()} == {0o600}
    lines = running.output.splitlines()
    assert f"ws     {told['ws']}{{id}}" in lines
    assert f"http   {told['http']}" in lines
    assert lines.count("ready") == 1
    assert "any charge point is let in" in running.output
    assert "the store is memory" not in running.output
    assert token not in running.output
    assert "MonkeyPatchWarning" not in running.output
    said = [line for line in lines if not line.startswith("20")]  # the others are records of the log
    assert said == [
        f"ws     {told['ws']}{{id}}",
        f"http   {told['http']}",
        f"store  {running.data / 'chargehand.sqlite'}",
        f"page   {told['http']}/",
        f"docs   {told['http']}/docs",
        f"token  {running.data / 'token'}",
        "ready",
    ]
    running.process.terminate()
    assert running.ended() == 0
    assert not (running.data / "run.json").exists()
    assert "Traceback" not in running.output


def test_settings_are_printed_when_they_are_asked_for(serve_process):
    running = serve_process("--print-settings", config='[http]\ntoken = "hush"\n')
    told = running.ready()
    lines = running.output.splitlines()
    settings = lines[lines.index('host = "127.0.0.1"') : lines.index(f"ws     {told['ws']}{{id}}")]
    settings = "\n".join(line for line in settings if not line.startswith("20"))
    assert tomllib.loads(settings)["data"] == str(running.data)
    assert "hush" not in running.output


def test_the_program_runs_patched(serve_process):
    probe = "import socket, gevent.monkey\nfrom chargehand import Plugin\n"
    probe += "class Probe(Plugin):\n    def on_start(self):\n"
    probe += "        print('patched', gevent.monkey.is_module_patched('ssl'), socket.socket.__module__, flush=True)\n"
    running = serve_process("--plugin", "probe:Probe", files={"probe.py": probe})
    running.ready()
    assert "patched True gevent." in running.output


def test_with_credentials_nobody_is_warned(serve_process):
    running = serve_process(config='[auth]\ncredentials = {CP1 = "secret word"}\n[log]\nlevel = "WARNING"\n')
    running.ready()
    assert "let in" not in running.output
    assert "secret word" not in running.output


def test_http_can_be_turned_off(serve_process):
    running = serve_process(config="[http]\nenabled = false\n")
    assert running.ready()["http"] is None
    assert not (running.data / "token").exists()


def test_an_open_api_says_nothing_of_a_token(serve_process):
    running = serve_process("--http-open")
    told = running.ready()
    assert get(told["http"], "/api/v1/charge-points")[0] == 200
    assert "token  " not in running.output


def test_logs_go_where_the_settings_say(serve_process):
    running = serve_process(config='[log]\nfile = "log.jsonl"\nformat = "json"\n')
    running.ready()
    first = (running.data.parent / "log.jsonl").read_text().splitlines()[0]
    assert json.loads(first)["logger"] == "chargehand.cli.program"


def test_plugins_are_found_where_the_program_is_started(serve_process):
    running = serve_process("--plugin", "shop:Tags", "--plugin", "shop:SlowToStop", **FILES, python=("-P",))
    running.ready()


@pytest.mark.parametrize(
    ("plugins", "status", "wanted"),
    [
        (["shop:Nothing"], 2, "shop:Nothing"),
        (["shup:Tags"], 2, "shup:Tags"),
        (["shop.Tags"], 2, "shop.Tags"),
    ],
)
def test_plugins_that_cannot_be_used_are_one_clear_line(serve_process, plugins, status, wanted):
    running = serve_process(*(word for plugin in plugins for word in ("--plugin", plugin)), **FILES)
    assert running.ended() == status
    last, next_ = running.output.splitlines()[-2:]
    assert wanted in last
    assert next_.startswith("  next: ")
    assert "Traceback" not in running.output
    assert not (running.data / "run.json").exists()


def test_a_plugin_that_fails_at_start_is_told_with_its_traceback(serve_process):
    running = serve_process("--plugin", "shop:Broken", **FILES)
    assert running.ended() == 1
    assert running.output.splitlines()[-2] == "chargehand: cannot start: RuntimeError: planted"
    assert running.output.count("Traceback") == 1


def test_a_data_folder_that_cannot_be_is_one_clear_line(serve_process, tmp_path):
    (tmp_path / "file").write_text("")
    running = serve_process("--data", str(tmp_path / "file"))
    assert running.ended() == 1
    line, next_ = running.output.splitlines()
    assert str(tmp_path / "file") in line
    assert "--data" in next_


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(serve_process, number):
    patient = "[supervision]\nshutdown_s = 60.0\nstop_timeout_s = 60.0\n"
    running = serve_process("--plugin", "shop:SlowToStop", config=patient, **FILES)
    running.ready()
    running.process.send_signal(signal.SIGTERM)
    running.wait_for("SIGTERM: stopping")
    running.process.send_signal(number)
    assert running.ended() == -number


def test_a_signal_while_it_starts_stops_it_in_order(serve_process):
    slow = "import gevent\nfrom chargehand import Plugin\nclass Slow(Plugin):\n"
    slow += "    def on_start(self):\n        print('starts', flush=True)\n        gevent.sleep(0.5)\n"
    running = serve_process("--plugin", "slow:Slow", files={"slow.py": slow})
    running.wait_for("starts")
    running.process.terminate()
    assert running.ended() == 0
    assert "stopped" in running.output


def test_it_ends_with_status_one_when_the_root_gives_up(serve_process):
    running = serve_process("--plugin", "shop:Fatal", **FILES)
    assert running.ended() == 1
    assert "the system cannot go on" in running.output
    assert not (running.data / "run.json").exists()


def test_a_hub_that_is_stuck_is_ended_with_its_stack(serve_process):
    running = serve_process(
        "--plugin", "shop:Spinning", config="[supervision]\nstop_timeout_s = 0.5\n", **FILES
    )
    running.wait_for("spins")
    begun = time.monotonic()
    running.process.terminate()
    assert running.ended() == 1
    assert time.monotonic() - begun < 60
    assert "in spin" in running.output


def test_as_many_files_may_be_open_as_the_hard_limit_allows():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
        assert raise_open_files() == hard
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
