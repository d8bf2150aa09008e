"""Dumps of PostgreSQL: `pg_dump` and `pg_restore`, the database's own programs, which read one moment.

The password is in the environment of the program, never in its arguments, which others may see.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gevent import subprocess

from .libpq import one_line
from .postgres_schema import SCHEMA
from .store import NoBackup, StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .libpq import DatabaseAddress

DUMP, RESTORE = "pg_dump", "pg_restore"
APPLICATION = "chargehand-backup"
TOLD_BYTES = 500
"""Bytes of what such a program complains of that are told."""


def find_program(name: str) -> str:
    """Return the path of a program of PostgreSQL. Raises `NoBackup`."""
    found = shutil.which(name)
    if found is None:
        raise NoBackup(
            f"{name} is not there: install PostgreSQL's programs for clients, of the server's version or newer"
        )
    return found


def dump(address: DatabaseAddress, path: str) -> None:
    """Write the tables of the store into a new file, for its owner's eyes alone; switches greenlets.

    Raises `NoBackup` without `pg_dump`, and `StoreError`; then there is no file.
    """
    program = find_program(DUMP)
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreError(f"no copy was made: {error}") from error
    done = False
    try:
        _run([program, "--format=custom", f"--schema={SCHEMA}", "--no-owner", f"--file={path}"], address)
        done = True
    finally:
        if not done:
            Path(path).unlink(missing_ok=True)


def restore(address: DatabaseAddress, path: str) -> None:
    """Put the tables of a dump in the place of those that are there: all or none.

    Raises `NoBackup` without `pg_restore`, and `StoreError`.
    """
    program = find_program(RESTORE)
    options = ["--clean", "--if-exists", "--no-owner", "--single-transaction", "--exit-on-error"]
    _run([program, *options, path], address)


def _run(arguments: Sequence[str], address: DatabaseAddress) -> None:
    conninfo, secrets = address.for_programs(APPLICATION)
    process: Any = subprocess.Popen(
        [*arguments[:1], f"--dbname={conninfo}", *arguments[1:]],
        env={**os.environ, **secrets},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        _, told = process.communicate()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if process.returncode != 0:
        raise StoreError(f"{Path(arguments[0]).name} failed: {one_line(told[:TOLD_BYTES])}")
