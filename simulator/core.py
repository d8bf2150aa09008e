"""Network and conversation of a simulated station, and how it answers: the part that is the same for every version.

The one rule: it knows no message of any version; what a message means is known to who made it.
"""

from __future__ import annotations

import base64
import logging
import os
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..protocol.errors import ErrorCode, OcppError
from .answers import Answer, refusing
from .client import Client, client_context
from .connection import InjectedFaults, SimulatorConnection
from .conversation import Conversation
from .jobs import Jobs
from .memory_client import MemoryClient
from .message_log import MessageLog
from .signing_keys import load_certificate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gevent import ssl

    from ..actors.runtime.timers import Timers
    from ..protocol.actions import Version
    from ..protocol.session import Incoming
    from .answers import Answerer
    from .certificates import Certificates
    from .connection import Backoff
    from .memory_client import AnyClient, Dial

logger = logging.getLogger(__name__)

NOT_SUPPORTED = refusing(ErrorCode.NOT_SUPPORTED, "this charge point does not support it")


class SimulatorCore:
    """Network, conversation, log and jobs of one simulated station.

    `answers` has what answers commands, by their names: its owner fills it. `opened` and `lost` are called, without
    blocking, when a connection was opened and when it is gone. The rest are options of a `ChargePoint`.
    """

    def __init__(
        self,
        url: str,
        identity: str,
        *,
        version: Version,
        password: str | bytes | None,
        cafile: str | None,
        tls: ssl.SSLContext | None,
        reconnect: Backoff | None,
        strict: bool,
        subprotocols: Sequence[str],
        compression: bool,
        id_prefix: str | None,
        timeout_s: float,
        connect_timeout_s: float,
        close_timeout_s: float,
        record_limit: int,
        timers: Timers | None,
        dial: Dial | None,
        opened: Callable[[], None],
        lost: Callable[[], None],
    ) -> None:
        self.identity = identity
        self.url = f"{url.rstrip('/')}/{quote(identity, safe='')}"
        self.password = password
        self._tls = client_context(cafile) if tls is None and cafile is not None else tls
        self.subprotocols = tuple(subprotocols)
        self._compression = compression
        self._dial_in_memory = dial
        self._connect_timeout_s = connect_timeout_s
        self.answers: dict[str, Answerer] = {}
        self.jobs = Jobs(identity, timers)
        self.record = MessageLog(record_limit, self.jobs.time)
        self.conversation = Conversation(
            self.record,
            version=version,
            id_prefix=os.urandom(4).hex() + "-" if id_prefix is None else id_prefix,
            timeout_s=timeout_s,
            strict=strict,
        )
        self.connection = SimulatorConnection(
            self.dial,
            self.conversation,
            self.record,
            take=self._take,
            opened=opened,
            lost=lost,
            reconnect=reconnect,
            close_timeout_s=close_timeout_s,
        )
        self.faults = InjectedFaults(self.connection, self.conversation)

    @property
    def online(self) -> bool:
        """True while there is a connection."""
        return self.conversation.client is not None

    def wait_online(self, timeout_s: float) -> None:
        """Wait until there is a connection. Raises TimeoutError."""
        if not self.connection.online.wait(timeout_s):
            raise TimeoutError(f"not online within {timeout_s:g} s")

    def wait_offline(self, timeout_s: float) -> None:
        """Wait until there is none. Raises TimeoutError."""
        if not self.connection.offline.wait(timeout_s):
            raise TimeoutError(f"still online after {timeout_s:g} s")

    def ping(self) -> None:
        """Send a WebSocket ping, if there is a connection."""
        if self.connection.client is not None:
            self.connection.client.ping()

    def use_certificate(self, certificates: Certificates) -> None:
        """Show its own certificate from the next connection on, if its key is to be had."""
        if certificates.own is not None and certificates.key:
            if self._tls is None:
                self._tls = client_context()
            load_certificate(self._tls, certificates.own, certificates.key)

    def dial(self, subprotocols: Sequence[str] = (), headers: Mapping[str, str] | None = None) -> AnyClient:
        """Connect, with its own subprotocols or these, and with further headers or others in place of the usual."""
        offered = subprotocols or self.subprotocols
        if self._dial_in_memory is not None:
            return MemoryClient(self._dial_in_memory(self.identity, offered))
        headers = dict(headers or {})
        if self.password is not None:
            password = self.password.encode() if isinstance(self.password, str) else self.password
            basic = base64.b64encode(self.identity.encode() + b":" + password).decode()
            headers["Authorization"] = f"Basic {basic}"
        return Client.connect(
            self.url,
            subprotocols=offered,
            headers=headers,
            tls=self._tls,
            timeout_s=self._connect_timeout_s,
            compression=self._compression,
        )

    def _take(self, incoming: Incoming) -> None:
        self.jobs.start(self._answer, incoming)

    def _answer(self, incoming: Incoming) -> None:
        name = incoming.action.name
        try:
            answer = self.answers.get(name, NOT_SUPPORTED)(incoming.request)
            if answer is None:
                return
            response, then = answer if isinstance(answer, Answer) else (answer, None)
            self.conversation.answer(incoming, response)
        except OcppError as error:
            self.conversation.refuse(incoming, error.code, error.description, error.details)
            return
        except Exception as error:
            logger.exception("%s: the answer to %s failed", self.identity, name)
            self.conversation.refuse(incoming, ErrorCode.INTERNAL_ERROR, repr(error))
            return
        if then is not None:
            then()
