"""Contents of the installed distribution: the package `chargehand`, all of it, and nothing else."""

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
from email import message_from_string
from importlib.metadata import packages_distributions
from pathlib import Path
from urllib.parse import urljoin
from urllib.request import urlopen
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[1]
NOT_COPIED = [
    ".git",
    ".venv",
    "build",
    "dist",
    "site",
    "*.egg-info",
    "__pycache__",
    ".*_cache",
    ".hypothesis",
]
AUTHORS_FOLDERS = {"tests", "bench", "examples", "docs"}
SHARED = ("monitoring", "deploy")
"""Folders of files for operators."""


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """Source distribution, made offline from a copy of the tree, and unpacked."""
    folder = tmp_path_factory.mktemp("packaging")
    # Any name: a clone's folder need not be called chargehand.
    tree = shutil.copytree(ROOT, folder / "a clone", ignore=shutil.ignore_patterns(*NOT_COPIED))
    (tree / "deploy" / ".env").write_text("POSTGRES_PASSWORD=secret")
    run(sys.executable, "-c", "from setuptools.build_meta import build_sdist; build_sdist('..')", cwd=tree)
    (made,) = folder.glob("*.tar.gz")
    with tarfile.open(made) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    return unpacked


@pytest.fixture(scope="module")
def wheel_file(sdist):
    """Wheel made offline from the source distribution, in which an earlier build left a file that no longer exists."""
    stale = sdist / "build" / "lib" / "chargehand" / "stale.py"
    stale.parent.mkdir(parents=True)
    stale.write_text("")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    run(*command, "--no-index", "--wheel-dir", str(sdist.parent), str(sdist))
    (made,) = sdist.parent.glob("*.whl")
    return made


def run(*command, **more):
    """Run a command to its end; return what it printed."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=120, **more
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(wheel_file):
    with ZipFile(wheel_file) as opened:
        yield opened


@pytest.fixture(scope="module")
def installed(wheel_file, tmp_path_factory):
    """Folder of a fresh environment outside the checkout, with the wheel and what the tests run with."""
    folder = tmp_path_factory.mktemp("elsewhere") / "environment"
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    run(
        sys.executable,
        "-m",
        "pip",
        "--quiet",
        "--python",
        str(python),
        "install",
        "--no-deps",
        "--no-index",
        str(wheel_file),
    )
    (packages,) = folder.glob("lib/python*/site-packages")
    # A line that is only a path: what is installed there as editable is not found by it.
    (packages / "others.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return folder


@pytest.fixture(scope="module")
def names(wheel):
    return set(wheel.namelist())


@pytest.fixture(scope="module")
def metadata(wheel, names):
    (name,) = [name for name in names if name.endswith(".dist-info/METADATA")]
    return message_from_string(wheel.read(name).decode())


def package_files():
    """Return every file of the package in the source tree, with its name in the wheel."""
    folders = [path.parent for path in ROOT.glob("*/__init__.py")]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    files += [path for path in ROOT.iterdir() if path.suffix == ".py" or path.name == "py.typed"]
    inside = [path.relative_to(ROOT) for path in files if "__pycache__" not in path.parts]
    return {f"chargehand/{path.as_posix()}" for path in inside} - {"chargehand/setup.py"}


def shared_files():
    """Return every file for operators in the source tree."""
    files = [path for folder in SHARED for path in (ROOT / folder).rglob("*") if path.is_file()]
    return {
        path.relative_to(ROOT).as_posix()
        for path in files
        if "__pycache__" not in path.parts and path.name != ".env"
    }


def test_only_chargehand_is_installed_at_top_level(names):
    tops = {name.split("/")[0] for name in names}
    assert tops == {"chargehand", "chargehand-0.2.0.dist-info", "chargehand-0.2.0.data"}


def test_files_for_operators_are_installed_beside_the_package(names):
    beside = "chargehand-0.2.0.data/data/share/chargehand/"
    found = {name.removeprefix(beside) for name in names if "0.2.0.data/" in name}
    assert found == shared_files()


def test_the_source_distribution_has_what_a_wheel_is_built_of(sdist):
    found = {path.relative_to(sdist).as_posix() for path in sdist.rglob("*") if path.is_file()}
    package = {name.removeprefix("chargehand/") for name in package_files()}
    needed = package | shared_files() | {"setup.py", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"}
    assert needed <= found
    assert "deploy/.env" not in found


def test_the_wheel_runs_in_a_fresh_environment_and_serves_the_page(installed, tmp_path):
    environ = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "CHARGEHAND"))
    }
    program = str(installed / "bin" / "chargehand")
    where = "import chargehand; print(chargehand.__file__)"
    found = Path(run(str(installed / "bin" / "python"), "-c", where, cwd=tmp_path, env=environ).strip())
    assert found.is_relative_to(installed)
    run(program, "new-plugin", "tariffs", cwd=tmp_path, env=environ)
    assert (tmp_path / "chargehand-tariffs" / "pyproject.toml").exists()
    assert (installed / "share" / "chargehand" / "deploy" / "chargehand.service").exists()
    with subprocess.Popen(
        [program, "serve", "--data", "data", "--port", "0", "--http-port", "0"],
        cwd=tmp_path,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            page = next(line.split()[1] for line in server.stdout if line.startswith("page"))
            index = read(page)
            assets = re.findall(r'(?:src|href)="([^":]+)"', index)
            assert len(assets) >= 3
            for asset in assets:
                assert read(urljoin(page, asset))
        finally:
            server.terminate()
            assert server.wait(60) == 0


def read(url):
    with urlopen(url, timeout=60) as answer:
        return answer.read().decode()


def test_every_file_of_the_package_is_in_the_wheel_and_no_other(names):
    assert {name for name in names if name.startswith("chargehand/")} == package_files()


def test_the_wheel_is_typed_and_has_the_example_file(names):
    assert {"chargehand/py.typed", "chargehand/config/example.toml"} <= names


@pytest.mark.parametrize("folder", sorted(AUTHORS_FOLDERS))
def test_what_is_for_authors_is_no_package(folder):
    assert not (ROOT / folder / "__init__.py").exists()


def test_what_an_earlier_build_left_is_not_installed(names):
    assert "chargehand/stale.py" not in names


def test_the_licence_goes_along(names, metadata):
    assert any(name.endswith("LICENSE") for name in names)
    assert "MIT" in {metadata["License"], metadata["License-Expression"]}


def test_every_dependency_has_both_bounds(metadata):
    needed = [line for line in metadata.get_all("Requires-Dist") if "extra ==" not in line]
    assert len(needed) >= 5
    for line in needed:
        assert ">=" in line, line
        assert "<" in line, line


def requirements(metadata, extra=""):
    """Return the names of the required distributions, or of those that an extra adds."""
    wanted = f'extra == "{extra}"' if extra else "extra =="
    lines = [line for line in metadata.get_all("Requires-Dist") if (wanted in line) == bool(extra)]
    return {normal(re.match(r"[\w.-]+", line)[0]) for line in lines}


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def imported(folders):
    """Distributions that the sources of these folders import, and modules of no known distribution."""
    paths = [path for folder in folders for path in folder.rglob("*.py") if "build" not in path.parts]
    modules = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules.add(node.module.split(".")[0])
    modules -= {*sys.stdlib_module_names, "annotationlib", "chargehand"}
    modules -= {path.stem for path in paths} | {path.parent.name for path in paths}
    known = packages_distributions()
    return {normal(name) for module in modules for name in known.get(module, [module])}


def test_the_package_needs_what_it_imports_and_nothing_else(metadata):
    folders = [path.parent for path in ROOT.glob("*/__init__.py")]
    # greenlet is gevent's other half and comes with it; what an extra brings is imported when it is needed.
    extras = set().union(*(requirements(metadata, extra) for extra in ("ca", "postgres", "redis")))
    assert imported(folders) - {"greenlet"} - extras == requirements(metadata)


def test_the_tests_and_benches_need_what_they_import(metadata):
    declared = requirements(metadata) | requirements(metadata, "dev")
    assert imported([ROOT / folder for folder in AUTHORS_FOLDERS]) - {"greenlet"} <= declared


def test_the_command_is_called_chargehand(wheel, names):
    (name,) = [name for name in names if name.endswith(".dist-info/entry_points.txt")]
    assert "chargehand = chargehand.cli.main:main" in wheel.read(name).decode()
