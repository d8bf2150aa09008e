"""Contents of the installed distribution: the package `chargehand`, all of it, and nothing else."""

import ast
import re
import shutil
import subprocess
import sys
from email import message_from_string
from importlib.metadata import packages_distributions
from pathlib import Path
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


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Wheel made offline from a copy of the tree, in which an earlier build left a file that no longer exists."""
    folder = tmp_path_factory.mktemp("packaging")
    # Any name: a clone's folder need not be called chargehand.
    tree = shutil.copytree(ROOT, folder / "a clone", ignore=shutil.ignore_patterns(*NOT_COPIED))
    stale = tree / "build" / "lib" / "chargehand" / "stale.py"
    stale.parent.mkdir(parents=True)
    stale.write_text("")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*command, "--no-index", "--wheel-dir", str(folder), str(tree)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (made,) = folder.glob("*.whl")
    return ZipFile(made)


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


def test_only_chargehand_is_installed_at_top_level(names):
    assert {name.split("/")[0] for name in names} == {"chargehand", "chargehand-0.2.0.dist-info"}


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
