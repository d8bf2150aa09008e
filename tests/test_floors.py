"""Import floors of the package, read from the sources.

`faults` reads one file. The first tests show that it finds planted faults, the last ones read the package.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[1]

FLOORS = {
    "config": 0,
    "protocol": 1,
    "actors.runtime": 2,
    "actors.session": 3,
    "actors.plugin": 4,
    "transport": 4,
    "store": 3,
    "supervisor": 5,
    "admission": 6,
    "simulator": 6,
    "remote.redis": 6,
    "remote.cluster": 7,
    "remote.plugins": 8,
    "remote": 9,
    "system": 10,
    "plugins": 11,
    "testing": 11,
    "web": 11,
    "cli": 12,
    "__init__": 13,
    "__main__": 14,
}

# The root only names what there is, and imports it when it is asked for: these may take from it what it exports.
FROM_THE_ROOT = {"plugins", "web", "cli"}

# Third-party packages by folder, as they are imported.
ALLOWED = {
    "config": {"marshmallow"},
    "protocol": {"marshmallow", "msgspec"},
    "actors": {"gevent", "greenlet", "msgspec", "pykka"},
    "transport": {"gevent", "geventwebsocket"},
    "store": {"gevent", "msgspec"},
    "supervisor": {"gevent", "msgspec"},
    "admission": {"gevent", "msgspec"},
    "plugins": {"click", "gevent", "msgspec"},
    "simulator": {"gevent"},
    "testing": {"gevent"},
    "remote": {"gevent", "hiredis", "msgspec", "redis"},
    "cli": {"click", "gevent", "rich"},
    "web": {"falcon", "gevent", "msgspec", "prometheus_client"},
    "system": {"gevent", "msgspec"},
    "__init__": set(),
    "__main__": set(),
}
ALLOWED_IN_A_FILE = {
    # Verbs are structs, and the command line is made from them.
    "cli/do.py": {"msgspec"},
    # Records are structs.
    "cli/steve.py": {"msgspec"},
    "protocol/masking.py": {"websockets"},
    # An extra: imported when a key is made, or used.
    "plugins/authority.py": {"cryptography"},
    "plugins/signing_requests.py": {"cryptography"},
    "simulator/signing_keys.py": {"cryptography"},
    # An extra: imported when its store is opened.
    "store/libpq.py": {"psycopg"},
    "store/postgres.py": {"psycopg"},
    "store/postgres_schema.py": {"psycopg"},
}

# In the standard library from 3.14 on; imported under a check of the version.
STANDARD = sys.stdlib_module_names | {"annotationlib"}

# Random bytes drawn in bulk: their order means nothing, and nobody else's work depends on them.
ALLOWED_STATE = {"protocol/masking.py": {"_keys"}}

# What a core without I/O has no use for.
BARRED = {
    "config": {
        "asyncio",
        "select",
        "selectors",
        "signal",
        "socket",
        "ssl",
        "subprocess",
        "threading",
        "time",
    },
    "protocol": {
        "asyncio",
        "select",
        "selectors",
        "signal",
        "socket",
        "ssl",
        "subprocess",
        "threading",
        "time",
    },
}


def area(path: PurePosixPath) -> str:
    """The folder of a file that has a floor, or the name of a file that lies in none."""
    return place_of(path.parts[:-1]) or (path.parts[0] if len(path.parts) > 1 else path.stem)


def place_of(parts: tuple[str, ...]) -> str:
    """Return the longest beginning of a dotted name that has a floor; empty if none has."""
    for length in (2, 1):
        name = ".".join(parts[:length])
        if len(parts) >= length and name in FLOORS:
            return name
    return ""


def imports(path: PurePosixPath, tree: ast.AST) -> Iterator[tuple[tuple[str, ...], list[str], bool]]:
    """Yield each import: its target (from the root, when inside the package), its names, and a flag for inside."""
    package = path.parts[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield tuple(alias.name.split(".")), [], False
        elif isinstance(node, ast.ImportFrom):
            module = tuple((node.module or "").split(".")) if node.module else ()
            names = [alias.name for alias in node.names]
            if node.level:
                yield (*package[: len(package) + 1 - node.level], *module), names, True
            else:
                yield module, names, False


def faults(name: str, source: str, exported: frozenset[str] = frozenset()) -> list[str]:
    """List the faults of one file of the package. `exported` are the names of the root `__init__`."""
    path = PurePosixPath(name)
    tree = ast.parse(source)
    found = []
    for target, names, inside in imports(path, tree):
        if inside:
            found += inner_faults(path, target, names, exported)
        else:
            found += outer_faults(path, target)
    found += [f"{name}: global {', '.join(n.names)}" for n in ast.walk(tree) if isinstance(n, ast.Global)]
    state = set(module_state(tree)) - ALLOWED_STATE.get(name, set())
    found += [f"{name}: state of the module: {variable}" for variable in state]
    if path.parts[0] not in ("cli", "__main__.py") and mentions_patching(tree):
        found.append(f"{name}: monkey patching is the command line's")
    if path.parts[0] != "actors" and catches_everything(tree):
        found.append(f"{name}: except BaseException is the runtime's")
    return found


def inner_faults(
    path: PurePosixPath, target: tuple[str, ...], names: list[str], exported: frozenset[str]
) -> Iterator[str]:
    here = area(path)
    # `from .. import protocol` leads to the folder, `from .. import Settings` to the root.
    for name in names:
        there = place_of((*target, name)) or (target[0] if target else "__init__")
        # A bundled plugin is written like anybody's: it may import from the root, which never imports it.
        if there == here or (
            here in FROM_THE_ROOT and there == "__init__" and name in exported | {"__version__"}
        ):
            continue
        if there not in FLOORS:
            yield f"{path}: imports {there}, which is on no floor"
        elif FLOORS[there] >= FLOORS[here]:
            yield f"{path}: imports {there}, which is not below it"
        elif here == "plugins" and name not in exported and target[-1:] and target[-1] not in exported:
            yield f"{path}: imports {name} from {there}, which the root does not export"


def outer_faults(path: PurePosixPath, target: tuple[str, ...]) -> Iterator[str]:
    here, package = path.parts[0].removesuffix(".py"), target[0]
    if package == "chargehand":
        yield f"{path}: an absolute import inside the package"
    elif package in BARRED.get(here, set()):
        yield f"{path}: imports {package}, but has no I/O"
    elif package not in STANDARD and package not in (ALLOWED[here] | ALLOWED_IN_A_FILE.get(str(path), set())):
        yield f"{path}: imports {package}, which its folder may not use"


def module_state(tree: ast.Module) -> Iterator[str]:
    """Yield names of the module bound to objects that are changed later: mutable, and not named as a constant."""
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            mutable = isinstance(
                node.value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp
            )
            for target in targets:
                if mutable and isinstance(target, ast.Name) and not is_constant(target.id):
                    yield target.id


def is_constant(name: str) -> bool:
    return name.isupper() or (name.startswith("__") and name.endswith("__"))


def mentions_patching(tree: ast.AST) -> bool:
    """Tell if anything is or could be patched. Reading the original (`get_original`) is no patching."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=word) | ast.Attribute(attr=word) if is_patching(word):
                return True
            case ast.Import(names=names) if any(alias.name == "gevent.monkey" for alias in names):
                return True
            case ast.ImportFrom(names=names) if any(is_patching(alias.name) for alias in names):
                return True
    return False


def is_patching(word: str) -> bool:
    return word == "monkey" or word.startswith("patch_")


def catches_everything(tree: ast.AST) -> bool:
    """Tell if a handler catches a `BaseException` for good; one that ends in a bare `raise` only cleans up."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            every = node.type is None or "BaseException" in {
                part.id for part in ast.walk(node.type) if isinstance(part, ast.Name)
            }
            last = node.body[-1]
            if every and not (isinstance(last, ast.Raise) and last.exc is None):
                return True
    return False


def exported_names(source: str) -> frozenset[str]:
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and any(
            isinstance(t, ast.Name) and t.id == "_MODULES" for t in node.targets
        ):
            return frozenset(ast.literal_eval(node.value))
    return frozenset()


def package_sources() -> dict[str, str]:
    folders = [path.parent for path in ROOT.glob("*/__init__.py")]
    paths = [path for folder in folders for path in folder.rglob("*.py")]
    paths += [path for path in ROOT.glob("*.py") if path.name != "setup.py"]
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in sorted(paths)}


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("protocol/frames.py", "import gevent"),
        ("protocol/frames.py", "import gevent.lock"),
        ("protocol/frames.py", "from pykka import Actor"),
        ("protocol/frames.py", "def later():\n    import gevent"),
        ("protocol/frames.py", "import socket"),
        ("protocol/session.py", "import time"),
        ("protocol/frames.py", "import websockets"),
        ("protocol/v16/core.py", "from ...actors import messages"),
        ("protocol/frames.py", "from ..transport.connection import Connection"),
        ("config/load.py", "from ..protocol import frames"),
        ("config/load.py", "import msgspec"),
        ("actors/runtime/cell.py", "from ...transport.connection import Connection"),
        ("actors/runtime/cell.py", "from ...store import Store"),
        ("actors/runtime/cell.py", "from ... import transport"),
        ("actors/runtime/cell.py", "from ... import CentralSystem"),
        ("actors/runtime/cell.py", "from ...system import CentralSystem"),
        ("actors/runtime/cell.py", "import marshmallow"),
        ("transport/greenlet.py", "import pykka"),
        ("transport/greenlet.py", "from ..actors.cell import Cell"),
        ("store/memory.py", "from ..actors.cell import Cell"),
        ("supervisor/tree.py", "from ..plugins.back_office import BackOffice"),
        ("supervisor/tree.py", "import pykka"),
        ("simulator/charge_point.py", "from ..web.api import App"),
        ("web/api.py", "import click"),
        ("cli/main.py", "import redis"),
        ("cli/main.py", "from ..elsewhere import thing"),
        ("system/tree.py", "import chargehand"),
        ("system/tree.py", "from chargehand.actors import cell"),
        ("system/tree.py", "from ..web.server import serve"),
        ("system/tree.py", "from ..plugins.back_office import BackOffice"),
        ("actors/runtime/cell.py", "from ..session.call import Call"),
        ("actors/session/cell.py", "from ..plugin.cell import PluginCell"),
        ("remote/redis/link.py", "from ..cluster.lease import Lease"),
        ("plugins/back_office.py", "from ..actors.cell import Cell"),
        ("plugins/back_office.py", "from ..actors.plugin import Plugin, Hidden"),
        ("system/tree.py", "from gevent import monkey"),
        ("system/tree.py", "import gevent.monkey"),
        ("transport/greenlet.py", "from gevent.monkey import patch_socket"),
        ("system/tree.py", "import gevent\ngevent.monkey.patch_all()"),
        ("plugins/back_office.py", "from .. import Hidden"),
        ("plugins/back_office.py", "from ..web.server import Hidden"),
        ("transport/greenlet.py", "try:\n    pass\nexcept BaseException:\n    pass"),
        ("transport/greenlet.py", "try:\n    pass\nexcept (OSError, BaseException):\n    print()"),
        ("system/tree.py", "try:\n    pass\nexcept:\n    raise ValueError"),
        ("actors/session/directory.py", "cells = {}"),
        ("actors/session/directory.py", "cells: dict[str, int] = {}"),
        ("actors/session/directory.py", "def make():\n    global cells"),
    ],
)
def test_a_planted_fault_is_seen(name, source):
    assert len(faults(name, source, frozenset({"Plugin", "v16"}))) == 1


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("protocol/v16/core.py", "import msgspec\nfrom ..rules import Text\nfrom . import types"),
        ("protocol/masking.py", "from websockets.speedups import apply_mask"),
        (
            "actors/runtime/cell.py",
            "import pykka\nimport gevent\nfrom ...protocol import frames\nfrom ...config.settings import S",
        ),
        ("actors/runtime/cell.py", "try:\n    pass\nexcept BaseException:\n    pass"),
        ("system/tree.py", "try:\n    pass\nexcept BaseException:\n    print()\n    raise"),
        ("supervisor/tree.py", "from ..actors.runtime.cell import Cell\nfrom ..store.memory import Store"),
        ("plugins/back_office.py", "from ..actors.plugin import Plugin\nfrom ..protocol import v16"),
        ("plugins/back_office.py", "from ..protocol.v16 import Authorize"),
        ("plugins/back_office.py", "from .. import Plugin, v16"),
        ("actors/runtime/threads.py", "from gevent.monkey import get_original"),
        (
            "cli/main.py",
            "from gevent import monkey\nfrom .. import Plugin\nfrom ..web import api\nimport click",
        ),
        ("__main__.py", "from .cli.main import main"),
        (
            "system/tree.py",
            "from ..remote import api\nfrom ..supervisor import tree\n'''no monkey patching'''",
        ),
        ("protocol/actions.py", "TABLE = {}\n__all__ = ['a']"),
    ],
)
def test_what_is_allowed_is_no_fault(name, source):
    assert faults(name, source, frozenset({"Plugin", "v16"})) == []


SOURCES = package_sources()
EXPORTED = exported_names(SOURCES["__init__.py"])


def test_the_sources_are_found():
    assert {"config/settings.py", "protocol/frames.py", "__init__.py"} <= set(SOURCES)
    assert "setup.py" not in SOURCES


@pytest.mark.parametrize("name", SOURCES)
def test_a_file_keeps_to_its_floor(name):
    assert faults(name, SOURCES[name], EXPORTED) == []


def test_one_file_alone_catches_base_exceptions():
    catching = [name for name, source in SOURCES.items() if catches_everything(ast.parse(source))]
    assert len(catching) <= 1, catching


def test_one_file_alone_touches_the_underscore_names_of_pykka():
    names = ("_create_actor_inbox", "_create_future", "_start_actor_loop")
    touching = [name for name, source in SOURCES.items() if any(word in source for word in names)]
    assert len(touching) <= 1, touching
