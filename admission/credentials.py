"""Credentials of charge points: those in the settings, and those in the store, which take precedence.

The store holds no key, only a hash: keyed BLAKE2 for a key of 16 bytes and more, scrypt for a shorter password.
A key is any bytes: OCPP 1.6-J, section 6.2, and the security white paper, profile 1.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import hmac
import os
from typing import TYPE_CHECKING, Any

import msgspec
from gevent import get_hub
from gevent.lock import BoundedSemaphore

from ..config.errors import ChargehandError
from ..store.records import Credential
from ..store.store import Receipt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..store.collections import Collection

LONG_BYTES = 16
"""Length from which a key cannot be guessed, and needs no slow hash."""
KEY_BYTES = 20
"""Longest AuthorizationKey in bytes; it is sent as twice as many hexadecimal digits."""

HEX = "hex:"
"""Prefix of a key in the settings that is written in hexadecimal digits."""
BLAKE2, SCRYPT = "blake2", "scrypt"
SALT_BYTES = 16
SCRYPT_COST = {"n": 2**14, "r": 8, "p": 1, "dklen": 32}  # about 50 ms and 16 MiB
AT_ONCE = 2
"""Passwords that are hashed at the same time, in native threads."""
WAITING_LIMIT = 64
"""Passwords that may wait to be hashed; further charge points are refused for a while."""


class PasswordChecksBusy(ChargehandError):
    """Too many passwords wait to be checked already."""


class Credentials:
    """Keys of charge points. `settled` are those in the settings: charge point id to password.

    Belongs to the hub's thread. Methods that may switch greenlets do so for scrypt only.
    """

    def __init__(
        self, settled: Mapping[str, str], book: Collection[Credential] | None, *, required: bool
    ) -> None:
        self._settled = settled
        self._book = book
        self._required = required or bool(settled)
        self._secret = os.urandom(32)
        self._proven: dict[
            str, bytes
        ] = {}  # keyed hashes of passwords that scrypt has accepted, by charge point
        self._scrypt = BoundedSemaphore(AT_ONCE)
        self._waiting = 0

    def asked(self, charge_point_id: str) -> bool:
        """Return whether a charge point must authenticate."""
        return self._required or self._find(charge_point_id) is not None

    def knows(self, charge_point_id: str) -> bool:
        """Return whether a charge point has a key."""
        return self._find(charge_point_id) is not None or charge_point_id in self._settled

    def check(self, charge_point_id: str, given: bytes) -> bool:
        """Check a key in constant time. May switch greenlets. Raises `PasswordChecksBusy`."""
        kept = self._find(charge_point_id)
        if kept is None:
            settled = self._settled.get(charge_point_id)
            return settled is not None and hmac.compare_digest(given, settled_key(settled))
        if self._fits(kept, given):
            return True
        if kept.next is None or not self._fits(kept.next, given):
            return False
        # This key was sent with an unknown outcome: now the charge point is known to have it.
        if self._book is not None and self._find(charge_point_id) is kept:
            self._book.put(kept.next)
        return True

    def set_password(self, charge_point_id: str, password: bytes) -> Receipt:
        """Set the key of a charge point; the key before is not accepted any more. May switch greenlets.

        Raises ValueError for an empty one.
        """
        return self._put(self._made(charge_point_id, password))

    def remove(self, charge_point_id: str) -> Receipt:
        """Delete a stored key; the key in the settings, if any, is valid again."""
        self._proven.pop(charge_point_id, None)
        return Receipt(done=True) if self._book is None else self._book.remove(charge_point_id)

    def key_sent(self, charge_point_id: str, value: str, *, certain: bool) -> None:
        """Note that a charge point took a new AuthorizationKey; if not `certain`, both keys are valid.

        `value` is as sent: hexadecimal digits, or the form that a vendor uses in their place.
        May switch greenlets.
        """
        made = self._made(charge_point_id, key_of(value))
        before = self._find(charge_point_id)
        if not certain and before is None:
            if charge_point_id not in self._settled:
                return  # it needed no key
            before = self._made(charge_point_id, settled_key(self._settled[charge_point_id]))
        if not certain and before is not None:
            made = msgspec.structs.replace(before, next=made)
        self._put(made)

    # -- Inside ------------------------------------------------------------------------------------

    def _find(self, charge_point_id: str) -> Credential | None:
        return None if self._book is None else self._book.get(charge_point_id)

    def _put(self, credential: Credential) -> Receipt:
        if self._book is None:
            raise RuntimeError("credentials cannot be stored: the system has no store")
        self._proven.pop(credential.charge_point_id, None)
        return self._book.put(credential)

    def _made(self, charge_point_id: str, password: bytes) -> Credential:
        if not password:
            raise ValueError("the password is empty; it needs at least one byte")
        scheme, salt = BLAKE2 if len(password) >= LONG_BYTES else SCRYPT, os.urandom(SALT_BYTES)
        return Credential(
            charge_point_id=charge_point_id,
            scheme=scheme,
            salt=salt,
            digest=self._digest(scheme, salt, password),
            changed_at=dt.datetime.now(dt.UTC),
        )

    def _fits(self, credential: Credential, given: bytes) -> bool:
        if credential.scheme == BLAKE2:
            return hmac.compare_digest(_blake2(credential.salt, given), credential.digest)
        seen = _blake2(self._secret, credential.salt + given)
        if hmac.compare_digest(self._proven.get(credential.charge_point_id, b""), seen):
            return True
        if not hmac.compare_digest(self._digest(SCRYPT, credential.salt, given), credential.digest):
            return False
        self._proven[credential.charge_point_id] = seen
        return True

    def _digest(self, scheme: str, salt: bytes, password: bytes) -> bytes:
        if scheme == BLAKE2:
            return _blake2(salt, password)
        if self._waiting >= WAITING_LIMIT:
            raise PasswordChecksBusy(f"{WAITING_LIMIT} passwords wait to be checked")
        self._waiting += 1
        try:
            with self._scrypt:
                done: bytes = get_hub().threadpool.apply(_scrypt, (salt, password))
                return done
        finally:
            self._waiting -= 1


def carries_key(request: Any) -> bool:
    """Return whether a request carries a new key for a charge point."""
    return bool(request.__action__.carries_credential(request))


def settled_key(value: str) -> bytes:
    """Return the key of a setting: its text, or the bytes behind `hex:`."""
    if value.startswith(HEX):
        with contextlib.suppress(ValueError):
            return bytes.fromhex(value.removeprefix(HEX))
    return value.encode()


def key_of(value: str) -> bytes:
    """Return the key that a ChangeConfiguration of AuthorizationKey carries: hexadecimal digits, else text."""
    if 2 * LONG_BYTES <= len(value) <= 2 * KEY_BYTES:
        with contextlib.suppress(ValueError):
            return bytes.fromhex(value)
    return value.encode("utf-8", "surrogatepass")


def _blake2(key: bytes, text: bytes) -> bytes:
    return hashlib.blake2b(text, key=key, digest_size=32).digest()


def _scrypt(salt: bytes, password: bytes) -> bytes:
    costs: dict[str, Any] = SCRYPT_COST
    return hashlib.scrypt(password, salt=salt, **costs)
