"""TLS socket of a connection: the plain socket, and the state of TLS on it. No method blocks.

gevent's socket, which makes the handshake, waits where the other side is slow. A connection never waits; without that
socket it needs 0.8 KiB less, and a read or a write is one call.
"""

from __future__ import annotations

import errno
import ssl
from typing import Any


class TlsSocket:
    """Non-blocking TLS socket, taken over from one of gevent whose handshake is done and which is unusable then.

    Where TLS waits for the kernel, `recv` and `send` raise `ssl.SSLWantReadError` or `ssl.SSLWantWriteError`.
    """

    __slots__ = ("_plain", "_tls")

    def __init__(self, secured: Any) -> None:
        # Neither gevent nor ssl has a public way to part the two. The state refers to the plain socket weakly.
        self._plain = secured._sock  # noqa: SLF001
        self._tls = secured._sslobj  # noqa: SLF001
        secured._detach_socket("detached")  # noqa: SLF001 - closes gevent's watchers, not the file
        self._plain.settimeout(0.0)

    def recv(self, size: int) -> bytes:
        """Return decrypted bytes, b"" at the end of the stream; after `shutdown` bytes as they came."""
        tls = self._tls
        if tls is None:
            received: bytes = self._plain.recv(size)
            return received
        try:
            data: bytes = tls.read(size)
        except ssl.SSLEOFError:  # the peer left without the alert
            return b""
        return data

    def send(self, data: bytes | bytearray) -> int:
        """Encrypt and send bytes; return how many were taken. Raises OSError after `shutdown`."""
        if self._tls is None:
            raise OSError(errno.EPIPE, "TLS was shut down")
        sent: int = self._tls.write(data)
        return sent

    def pending(self) -> int:
        """Return how many decrypted bytes wait for `recv`, which the kernel does not know of."""
        return 0 if self._tls is None else self._tls.pending()

    def unwrap(self) -> None:
        """Send the close alert. Raises `ssl.SSLWantReadError` as long as the peer's has not come."""
        if self._tls is not None:
            self._tls.shutdown()

    def shutdown(self, how: int) -> None:
        """Shut down sides of the plain socket. TLS ends by that."""
        self._tls = None
        self._plain.shutdown(how)

    def getsockopt(self, *which: int) -> Any:
        """Return an option of the plain socket."""
        return self._plain.getsockopt(*which)

    def fileno(self) -> int:
        """Return the descriptor; -1 if it is closed."""
        number: int = self._plain.fileno()
        return number

    def close(self) -> None:
        """Close the socket."""
        self._tls = None
        self._plain.close()
