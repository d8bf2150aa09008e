"""Files for operators: the image, the composition, and the units fit the settings, the commands and the ports."""

import ast
import configparser
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from chargehand import v16
from chargehand.cli.failures import MISUSED
from chargehand.cli.main import COMMANDS, main
from chargehand.config.load import PROGRAM_DEFAULTS, load
from chargehand.web.health import PROBES

from .in_process import connect, system_with

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "deploy"
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
DOCKERFILE = (FOLDER / "Dockerfile").read_text()
UNITS = sorted(FOLDER.glob("*.service"))
WANTED = re.compile(r"\$\{(\w+):\?[^}]*\}")
SECRET = "letters0and1digits"
BESIDE = Path(sys.executable).parent


def image_environment():
    """Return the variables that the image sets."""
    return dict(re.findall(r"\b(CHARGEHAND_\w+)=(\S+)", DOCKERFILE))


def environment_of(service):
    given = {name: WANTED.sub(SECRET, value) for name, value in SERVICES[service]["environment"].items()}
    return image_environment() | given


def variables(value):
    return set(WANTED.findall(json.dumps(value)))


def settings_of(service):
    environ = environment_of(service)
    if service == "server":
        return load(
            FOLDER / "chargehand.toml", environ=environ, program_defaults=PROGRAM_DEFAULTS, serves=True
        )
    return load(environ=environ, program_defaults=PROGRAM_DEFAULTS, stores=False)  # as a plugin host does


def test_the_settings_of_the_server_can_be_used():
    settings = settings_of("server")
    assert settings.store == f"postgresql://chargehand:{SECRET}@postgres/chargehand"
    assert settings.redis.url == f"redis://default:{SECRET}@redis:6379/0"
    assert (settings.host, settings.http.host, settings.http.token) == ("0.0.0.0", "0.0.0.0", SECRET)
    assert settings.auth.required
    host = settings_of("plugin-host").redis
    assert (host.url, host.secret) == (settings.redis.url, settings.redis.secret)


def test_the_file_of_settings_is_enough_for_the_unit_which_has_no_other_source():
    settings = load(FOLDER / "chargehand.toml", environ={}, program_defaults=PROGRAM_DEFAULTS, serves=True)
    assert (settings.host, settings.http.host) == ("0.0.0.0", "127.0.0.1")
    assert settings.auth.required


def test_a_unit_asks_for_no_program_but_the_shell_and_its_own():
    programs = {
        shlex.split(line.split("=", 1)[1])[0]
        for path in UNITS
        for line in path.read_text().splitlines()
        if line.startswith("Exec")
    }
    assert programs == {"/opt/chargehand/bin/chargehand", "/bin/sh"}


def test_settings_with_a_fault_are_not_tried_again_and_again():
    for path in UNITS:
        assert f"\nRestartPreventExitStatus={MISUSED}\n" in path.read_text()


def test_every_password_is_asked_for_in_the_example():
    asked = dict(
        line.split("=") for line in (FOLDER / "example.env").read_text().splitlines() if line[:1] != "#"
    )
    assert variables(COMPOSE) == set(asked)
    assert set(asked.values()) == {""}


def test_every_file_that_a_container_gets_is_there():
    named = [volume.split(":")[0] for one in SERVICES.values() for volume in one.get("volumes", ())]
    assert {name for name in named if not name.startswith(".")} == set(COMPOSE["volumes"])
    for name in named:
        assert not name.startswith(".") or (FOLDER / name).exists(), name


def test_ports_and_probes_are_those_of_the_settings():
    settings = settings_of("server")
    assert f"EXPOSE {settings.port} {settings.http.port}" in DOCKERFILE
    assert [port.split(":")[-1] for port in SERVICES["server"]["ports"]] == [
        str(settings.port),
        str(settings.http.port),
    ]
    (probe,) = re.findall(r"http://127\.0\.0\.1:(\d+)(/\w+)", DOCKERFILE)
    assert probe[0] == str(settings.http.port)
    assert probe[1] in PROBES
    (scrape,) = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    assert scrape["static_configs"] == [{"targets": [f"server:{settings.http.port}"]}]
    assert settings.http.open_metrics


def test_only_the_port_of_charge_points_is_reachable_from_elsewhere():
    ports = [port for one in SERVICES.values() for port in one.get("ports", ())]
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == ["0.0.0.0:9000:9000"]


def test_grafana_has_the_dashboard_and_its_source():
    (source,) = yaml.safe_load((FOLDER / "grafana" / "datasources.yml").read_text())["datasources"]
    board = json.loads((ROOT / "monitoring" / "grafana-dashboard.json").read_text())
    assert source["type"] == next(
        one["query"] for one in board["templating"]["list"] if one["type"] == "datasource"
    )
    assert source["url"].removeprefix("http://").split(":")[0] in SERVICES
    (provider,) = yaml.safe_load((FOLDER / "grafana" / "dashboards.yml").read_text())["providers"]
    (board_volume,) = [one for one in SERVICES["grafana"]["volumes"] if "grafana-dashboard.json" in one]
    assert board_volume.split(":")[1].startswith(provider["options"]["path"])


def test_the_sample_plugin_answers_what_the_settings_forward():
    module, name = SERVICES["plugin-host"]["command"][1].split(":")
    found: dict[str, object] = {}
    exec(compile((FOLDER / "plugins" / f"{module}.py").read_text(), module, "exec"), found)
    settings = settings_of("server")
    assert [action for _, action, _ in found[name].handlers] == list(settings.redis.remote_actions)
    with system_with(found[name].spec()) as system, connect(system, "CP7") as charge_point:
        charge_point.boot()
        answer = charge_point.send(v16.DataTransfer(vendor_id="ACME"))
        assert (answer.status, answer.data) == ("Accepted", "hello CP7")


def test_the_image_is_built_of_every_folder_of_the_package():
    tree = ast.parse((ROOT / "setup.py").read_text())
    (folders,) = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "FOLDERS"
    ]
    lines = set((FOLDER / "Dockerfile.dockerignore").read_text().splitlines())
    assert {f"!{name}" for name in (*folders, "deploy", "monitoring", "setup.py", "py.typed")} <= lines


@pytest.mark.parametrize(
    "text", [DOCKERFILE.split("ENTRYPOINT", 1)[1], *sorted(SERVICES.keys() & {"server", "plugin-host"})]
)
def test_a_command_of_a_container_exists(text):
    words = SERVICES[text]["command"] if text in SERVICES else json.loads(text.split("CMD ")[1])
    assert_command(words)


def assert_command(words):
    """Assert that a command and its options exist."""
    command = main.get_command(None, words[0])
    assert words[0] in COMMANDS
    options = {option for one in command.params for option in one.opts}
    assert {word for word in words if word.startswith("--")} <= options


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_runs_a_command_that_notifies(path):
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read_string(path.read_text())
    service = unit["Service"]
    program, *words = shlex.split(service["ExecStart"])
    assert program.endswith("/chargehand")
    assert_command(words)
    assert (service["Type"], service["NotifyAccess"]) == ("notify", "main")
    assert int(service["WatchdogSec"]) >= 10


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_systemd_finds_no_fault_in_a_unit_and_little_exposure(path, tmp_path):
    unit = tmp_path / path.name.replace("@", "@shop:Tariffs")
    # The program has to exist on the machine that looks, at a path without a blank.
    program = tmp_path / "program"
    program.symlink_to(sys.executable)
    unit.write_text(path.read_text().replace("/opt/chargehand/bin/chargehand", str(program)))
    verified = analyze("verify", "--man=no", "--recursive-errors=no", str(unit))
    assert [line for line in verified.stderr.splitlines() if unit.name in line] == []
    exposed = analyze("security", "--offline=true", "--no-pager", "--threshold=20", str(unit))
    assert exposed.returncode == 0, exposed.stdout


def analyze(*arguments):
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, check=False, timeout=120
    )


HADOLINT = shutil.which("hadolint", path=str(BESIDE)) or shutil.which("hadolint")


@pytest.mark.skipif(HADOLINT is None, reason="hadolint is not installed")
def test_hadolint_finds_no_fault_in_the_dockerfile():
    done = subprocess.run(
        [HADOLINT, "--no-color", str(FOLDER / "Dockerfile")],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
