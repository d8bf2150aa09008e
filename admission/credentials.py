"""Credentials of charge points: those in the settings, and those in the store, which take precedence.

The store holds no key, only a hash: keyed BLAKE2 for a key of 16 bytes and more, scrypt for a shorter password.
A key is any bytes: OCPP 1.6-J, section 6.2, and the security white paper, profile 1.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import os
import re
from typing import TYPE_CHECKING, Any

import msgspec
from gevent import get_hub
from gevent.lock import BoundedSemaphore

from ..config.errors import ChargehandError
from ..config.keys import read_key
from ..store.records import Credential
from ..store.store import Receipt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..store.collections import Collection

LONG_BYTES = 16
"""Length from which a key cannot be guessed, and needs no slow hash."""
KEY_BYTES = 20
"""Longest AuthorizationKey in bytes; it is sent as twice as many hexadecimal digits."""

DIGITS = re.compile(rb"[0-9A-Fa-f]*")
MOST_UNUSED = 3
"""New keys of one charge point that may count beside its old one; of more the oldest goes."""

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
    """Keys of charge points. `settled` are those in the settings: charge point id to password, as `read_key` reads it.

    Belongs to the hub's thread. Methods that may switch greenlets do so for scrypt only.
    """

    def __init__(
        self,
        settled: Mapping[str, str],
        book: Collection[Credential] | None,
        *,
        required: bool,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        self.take(settled, required=required)
        self._book = book
        self._now = now
        self._secret = os.urandom(32)
        self._proven: dict[str, bytes] = {}  # keyed hashes of passwords that scrypt has accepted
        self._sent_bytes: dict[str, bytes] = {}  # by charge point: salt of the key whose bytes it has sent
        # By charge point: when the new key that it has not used yet was given to it, or was warned of.
        self._unused: dict[str, dt.datetime] = {}
        for credential in book or ():
            self._note_unused(credential)
        self._scrypt = BoundedSemaphore(AT_ONCE)
        self._waiting = 0

    def take(self, settled: Mapping[str, str], *, required: bool) -> None:
        """Take the keys of other settings from now on; connections that there are go on."""
        self._settled = {charge_point_id: read_key(text) for charge_point_id, text in settled.items()}
        self._required = required or bool(settled)

    def asked(self, charge_point_id: str) -> bool:
        """Return whether a charge point must authenticate."""
        return self._required or self.stored(charge_point_id) is not None

    def knows(self, charge_point_id: str) -> bool:
        """Return whether a charge point has a key."""
        return self.stored(charge_point_id) is not None or charge_point_id in self._settled

    def guessable(self, charge_point_id: str) -> bool:
        """Return whether the key of a charge point is short enough to be guessed."""
        kept = self.stored(charge_point_id)
        if kept is not None:
            return any(one.scheme == SCRYPT for one in _chain(kept))
        return len(self._settled.get(charge_point_id, b"")) < LONG_BYTES

    def stored(self, charge_point_id: str) -> Credential | None:
        """Return the stored credential of a charge point; None without one."""
        return None if self._book is None else self._book.get(charge_point_id)

    def check(self, charge_point_id: str, given: bytes) -> bool:
        """Check a key in constant time; a new key that is used replaces those before it.

        May switch greenlets. Raises `PasswordChecksBusy`.
        """
        salt = self._try(charge_point_id, given)
        if salt is not None and LONG_BYTES <= len(given) <= KEY_BYTES:
            self._sent_bytes[charge_point_id] = salt
        return salt is not None

    def check_digits(self, charge_point_id: str, given: bytes) -> bool:
        """Check the hexadecimal digits of a key, which some charge points send in place of its bytes.

        False for a charge point that has sent the bytes of this key. May switch greenlets. Raises
        `PasswordChecksBusy`.
        """
        if not 2 * LONG_BYTES <= len(given) <= 2 * KEY_BYTES or len(given) % 2 or not DIGITS.fullmatch(given):
            return False
        key, known = bytes.fromhex(given.decode()), self._sent_bytes.get(charge_point_id)
        return self._try(charge_point_id, key, known) is not None

    def _try(self, charge_point_id: str, given: bytes, barred: bytes | None = None) -> bytes | None:
        """Return the salt of the key that fits, empty for one of the settings; None if none does.

        The key with the salt `barred` does not count.
        """
        kept = self.stored(charge_point_id)
        if kept is None:
            settled = self._settled.get(charge_point_id)
            fits = settled is not None and barred != b"" and hmac.compare_digest(given, settled)
            return b"" if fits else None
        one: Credential | None = kept
        while one is not None and (one.salt == barred or not self._fits(one, given)):
            one = one.next
        # If it is a new one, the charge point has taken it, and those before it count no more.
        if (
            one is not None
            and one is not kept
            and self._book is not None
            and self.stored(charge_point_id) is kept
        ):
            self._put(one)
        return None if one is None else one.salt

    def set_password(self, charge_point_id: str, password: bytes) -> Receipt:
        """Set the key of a charge point; the key before is not accepted any more. May switch greenlets.

        Raises ValueError for an empty one.
        """
        return self._put(self._made(charge_point_id, password))

    def remove(self, charge_point_id: str) -> Receipt:
        """Delete the stored keys; the key in the settings, if any, is valid again."""
        self._proven.pop(charge_point_id, None)
        return Receipt(done=True) if self._book is None else self._book.remove(charge_point_id)

    def stage(self, charge_point_id: str, value: str | bytes) -> None:
        """Let a new key count that is being sent, beside those before it, until it is used.

        A charge point without a key needs none of it. May switch greenlets, for a short password of the settings.
        """
        key, before = key_of(value), self.stored(charge_point_id)
        if before is None:
            settled = self._settled.get(charge_point_id)
            if settled is None:
                return
            before = self._made(charge_point_id, settled)
            if self.stored(charge_point_id) is not None:
                return  # its outcome was faster
        if not self._staged(before, key):
            made = msgspec.structs.replace(self._made(charge_point_id, key), staged=True)
            self._append(before, made)

    def _staged(self, before: Credential, key: bytes) -> Credential | None:
        """Return the staged credential with this key; none has a password that is slow to check."""
        chain = (one for one in _chain(before)[1:] if one.staged and one.scheme == BLAKE2)
        return next((one for one in chain if self._fits(one, key)), None)

    def key_refused(self, charge_point_id: str, value: str | bytes) -> None:
        """Forget a staged key, which the charge point has not taken."""
        before = self.stored(charge_point_id)
        staged = None if before is None else self._staged(before, key_of(value))
        if before is not None and staged is not None:
            self._put(_linked([one for one in _chain(before) if one is not staged]))

    def key_sent(self, charge_point_id: str, value: str | bytes, *, certain: bool) -> None:
        """Note that a charge point uses a new key from now on or, if not `certain`, may: then both keys count.

        `value` is as it was sent: hexadecimal digits, or what a vendor takes in their place; or the bytes of the key. A
        key that is noted already, or staged, is left as it is. May switch greenlets.
        """
        key = key_of(value)
        before = self.stored(charge_point_id)
        if before is not None and self._staged(before, key) is not None:
            return  # until it is used
        if certain:
            if before is None or before.next is not None or not self._fits(before, key):
                self._put(self._made(charge_point_id, key))
            return
        if before is None:
            settled = self._settled.get(charge_point_id)
            if settled is None:
                return  # it needed none, so whatever it has is right
            before = self._made(charge_point_id, settled)
        chain = _chain(before)
        if not any(self._fits(one, key) for one in chain):
            self._append(before, self._made(charge_point_id, key))

    def unused_since(self, charge_point_id: str) -> dt.datetime | None:
        """Return when a charge point was given the new key that it has not used yet; None if there is none."""
        kept = self.stored(charge_point_id)
        return None if kept is None or kept.next is None else kept.next.changed_at

    def unused_keys(self, after_s: float) -> list[tuple[str, dt.datetime]]:
        """List the charge points that have not used their new key for `after_s`, and since when.

        Each is listed once in `after_s`.
        """
        now, found = self._now(), []
        for charge_point_id, at in list(self._unused.items()):
            since = self.unused_since(charge_point_id)
            if since is None:
                del self._unused[charge_point_id]
            elif (now - at).total_seconds() >= after_s:
                self._unused[charge_point_id] = now
                found.append((charge_point_id, since))
        return found

    # -- Inside ------------------------------------------------------------------------------------

    def _put(self, credential: Credential) -> Receipt:
        if self._book is None:
            raise RuntimeError("credentials cannot be stored: the system has no store")
        self._proven.pop(credential.charge_point_id, None)
        self._note_unused(credential)
        return self._book.put(credential)

    def _append(self, before: Credential, made: Credential) -> None:
        """Put a new key behind the others of its charge point; of too many the oldest new one goes."""
        first, *unused = _chain(before)
        self._put(_linked([first, *unused[1 - MOST_UNUSED :], made]))

    def _note_unused(self, credential: Credential) -> None:
        if credential.next is not None:
            self._unused[credential.charge_point_id] = credential.next.changed_at

    def _made(self, charge_point_id: str, password: bytes) -> Credential:
        if not password:
            raise ValueError("the password is empty; it needs at least one byte")
        scheme, salt = BLAKE2 if len(password) >= LONG_BYTES else SCRYPT, os.urandom(SALT_BYTES)
        return Credential(
            charge_point_id=charge_point_id,
            scheme=scheme,
            salt=salt,
            digest=self._digest(scheme, salt, password),
            changed_at=self._now(),
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


def key_of(value: str | bytes) -> bytes:
    """Return the key that a ChangeConfiguration of AuthorizationKey carries: hexadecimal digits, else text."""
    if isinstance(value, bytes):
        return value
    given = value.encode("utf-8", "surrogatepass")
    if 2 * LONG_BYTES <= len(given) <= 2 * KEY_BYTES and len(given) % 2 == 0 and DIGITS.fullmatch(given):
        return bytes.fromhex(value)
    return given


def _chain(credential: Credential) -> list[Credential]:
    """List a key and the new ones behind it."""
    chain = [credential]
    while chain[-1].next is not None:
        chain.append(chain[-1].next)
    return chain


def _linked(chain: list[Credential]) -> Credential:
    """Put each key behind the one before it."""
    linked: Credential | None = None
    for credential in reversed(chain):
        linked = msgspec.structs.replace(credential, next=linked)
    return linked or chain[0]


def _blake2(key: bytes, text: bytes) -> bytes:
    return hashlib.blake2b(text, key=key, digest_size=32).digest()


def _scrypt(salt: bytes, password: bytes) -> bytes:
    costs: dict[str, Any] = SCRYPT_COST
    return hashlib.scrypt(password, salt=salt, **costs)
