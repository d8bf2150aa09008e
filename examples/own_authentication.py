"""Users of one's own: a plugin decides about each handshake who may connect.

Run it:    python examples/own_authentication.py
"""

import hmac
import sqlite3
from contextlib import closing
from hashlib import scrypt
from pathlib import Path
from tempfile import TemporaryDirectory

from chargehand import CentralSystem, ConnectionAttempt, Plugin, Settings, authenticate
from chargehand.simulator import ChargePoint, HandshakeRefused


def digest(password: bytes, salt: bytes) -> bytes:
    """Derive what is stored in place of a password."""
    return scrypt(password, salt=salt, n=2**12, r=8, p=1)


class UserBase(Plugin):
    """Admits the charge points of a table, by their passwords."""

    def __init__(self, file: str) -> None:
        super().__init__()
        self.file = file

    @authenticate(blocking=True)  # the database waits in C
    def admits(self, attempt: ConnectionAttempt) -> bool | None:
        """Admit or refuse; None for one that is not in the table, about whom the settings decide."""
        with closing(sqlite3.connect(self.file)) as database:
            query = "SELECT salt, digest FROM charge_points WHERE id = ?"
            row = database.execute(query, (attempt.charge_point_id,)).fetchone()
        if row is None:
            return None
        return attempt.password is not None and hmac.compare_digest(digest(attempt.password, row[0]), row[1])


def main() -> None:
    """Make a user base with one charge point, and let it try two passwords."""
    with TemporaryDirectory() as folder:
        file = str(Path(folder) / "users.sqlite")
        with closing(sqlite3.connect(file)) as database, database:
            database.execute("CREATE TABLE charge_points (id TEXT PRIMARY KEY, salt BLOB, digest BLOB)")
            row = ("CP1", b"salt of CP1", digest(b"a long password", b"salt of CP1"))
            database.execute("INSERT INTO charge_points VALUES (?, ?, ?)", row)
        with CentralSystem(Settings(port=0, store="memory"), plugins=[UserBase.spec(file)]) as system:
            url = f"ws://127.0.0.1:{system.port}/ocpp/"
            for password in ("a long password", "a wrong password"):
                try:
                    with ChargePoint(url, "CP1", password=password) as charge_point:
                        print(f"{password}: {charge_point.boot().status}")
                except HandshakeRefused as error:
                    print(f"{password}: refused with {error.status}")


if __name__ == "__main__":
    main()
