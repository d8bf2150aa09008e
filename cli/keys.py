"""The command `keys`: the keys of charge points, without the keys themselves, and their rotation."""

from __future__ import annotations

import csv
import io
import json
from typing import IO, TYPE_CHECKING, Any

import click

from ..admission.identity import check_identity
from ..config.keys import read_key
from ..protocol.cells import unguarded
from .api import asks_server
from .bulk import chooses, send_bulk
from .failures import CommandFailed, CommandMisused
from .options import MAX_LIMIT
from .output import lists, show_table, when
from .send import SendingOptions, sends

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .api import Api
    from .bulk import TargetChoice

FIELDS = ("charge_point", "password")
COLUMNS = ("charge point", "changed", "new key, not used yet, since")


def show_keys(told: Mapping[str, Any]) -> None:
    """Print them as a table."""
    rows = [
        (row["charge_point"], when(row["changed_at"]), when(row["new_key_since"])) for row in told["keys"]
    ]
    show_table(COLUMNS, rows, "no such key is in the store")


@click.group()
def keys() -> None:
    """Show who has a key, and give charge points new ones."""


@keys.command("list")
@click.option("--waiting", is_flag=True, help="Only charge points that have not used their new key yet.")
@lists(show_keys, "keys", ("charge_point", "changed_at", "new_key_since"))
@asks_server
def list_keys(api: Api, *, waiting: bool) -> Any:
    """List the charge points with a key in the store."""
    narrowed = {"waiting": "1"} if waiting else {}
    return api.whole("keys", "keys", cursor="after", limit=str(MAX_LIMIT), **narrowed)


@keys.command("rotate")
@click.argument("charge_points", metavar="[CP]...", nargs=-1)
@sends
@chooses
@asks_server
def rotate(
    api: Api, *, charge_points: tuple[str, ...], options: SendingOptions, choice: TargetChoice
) -> None:
    """Give each charge point a new key of its own, which nobody sees.

    Its old key counts, too, until it has come back with the new one; `keys list --waiting` lists those that have not.
    With --queue charge points that are away get theirs when they are back.
    """
    if bool(charge_points) == choice.many:
        raise click.UsageError("charge points are named, or chosen by --all, --known, --where or --from")
    if charge_points:
        choice = choice.of(charge_points)
    send_bulk(api, choice, {"verb": "rotate_key", "members": {}}, options)


def read(text: str) -> dict[str, str]:
    """Read passwords by charge point from CSV with a line of names. Raises `CommandMisused`, and names all faults.

    No fault shows a password. CSV may have semicolons or tabs in place of commas.
    """
    text = text.removeprefix("\ufeff")
    head = text.partition("\n")[0]
    delimiter = next((one for one in ";\t" if one in head and "," not in head), ",")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
    found: dict[str, str] = {}
    faults = []
    try:
        if [name.strip().lower() for name in next(reader, [])] != list(FIELDS):
            raise CommandMisused(
                f"CSV begins with the line {','.join(FIELDS)}", "put it in front of the others"
            )
        for row in reader:
            fault = _fault(row, found) if row else ""
            if fault:
                faults.append(f"line {reader.line_num}: {fault}")
            elif row:
                found[unguarded(row[0])] = unguarded(row[1])
    except csv.Error as error:
        raise CommandMisused(
            f"line {reader.line_num}: {error}", "correct the file, and import it again"
        ) from error
    if faults:
        raise CommandMisused(
            "\n  ".join(["no password was set:", *faults]), "correct these lines, and import the file again"
        )
    return found


def _fault(row: list[str], found: Mapping[str, str]) -> str:
    """Say what is wrong with a line; empty if nothing is."""
    if len(row) != len(FIELDS):
        return f"it has {len(row)} fields, not {len(FIELDS)}"
    charge_point, password = map(unguarded, row)
    if charge_point in found:
        return f"{charge_point} is in an earlier line, too"
    try:
        check_identity(charge_point)
        read_key(password)
    except ValueError as error:
        return str(error)
    return "" if charge_point else "it names no charge point"


@keys.command("import")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@asks_server
def import_keys(api: Api, *, file: IO[str]) -> None:
    """Set the passwords of a CSV file (- is standard input) with the columns charge_point and password.

    All lines are checked before the first one is set. A password is its text, or bytes behind hex: or base64:.
    """
    try:
        passwords = read(file.read())
    except UnicodeDecodeError as error:
        raise CommandMisused(f"the file is not UTF-8: {error.reason}", "save it as UTF-8") from error
    for number, (charge_point, password) in enumerate(passwords.items()):
        try:
            api.change(
                "PUT", "charge-points", charge_point, "password", body=json.dumps({"password": password})
            )
        except CommandFailed as error:
            raise CommandFailed(
                f"{number} of {len(passwords)} passwords are set; {charge_point}: {error}", error.hint
            ) from error
    click.echo(f"{len(passwords)} passwords set")
