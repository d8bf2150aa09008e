"""Every setting of a central system: its name, type, default and one line of documentation.

Frozen, keyword-only dataclasses. An embedder builds them by hand, as in
`Settings(port=0, http=HttpSettings(enabled=True))`; `load` builds them from a file, the environment and the
command line. One rule: what is said here is said nowhere else; the schemas, the example file and the table
in the documentation are made from these declarations. Never reads a file, never looks at the environment.
"""

from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeVar, cast

LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
TagStatus = Literal["Accepted", "Blocked", "Expired", "Invalid"]

T = TypeVar("T")

_RULES = "rules"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a setting's type does not say: its documentation, its range, and how it is written in a file.

    `least` and `most` are the inclusive bounds of a number, `above` an exclusive lower one. A string must
    match `pattern` from end to end; `wanted` says in words what the pattern asks for. `short` is for tables:
    the key that a bare string stands for. `sample` is a value for the example file when the default shows
    nothing. `key` is the name in a file when that is no name in Python. A `secret` is never shown; `url` is one
    without its password.
    """

    doc: str
    least: float | None = None
    above: float | None = None
    most: float | None = None
    pattern: str = ""
    wanted: str = ""
    short: str = ""
    sample: str = ""
    key: str = ""
    secret: bool = False
    url: bool = False


def rules_of(declared: Field[Any]) -> Rules:
    """The rules of one field of a settings class."""
    return cast("Rules", declared.metadata[_RULES])


def key_of(declared: Field[Any]) -> str:
    """The name of a field in a file."""
    return rules_of(declared).key or declared.name


def _setting(default: T, doc: str, **more: Any) -> T:
    rules = Rules(doc=doc, **more)
    # A secret is left out of repr(), so that a traceback or a debug line never shows it.
    return field(default=default, repr=not (rules.secret or rules.url), metadata={_RULES: rules})


def _made(factory: Callable[[], T], doc: str, **more: Any) -> T:
    rules = Rules(doc=doc, **more)
    return field(default_factory=factory, repr=not rules.secret, metadata={_RULES: rules})


def _on(doc: str) -> bool:
    return _setting(True, doc)  # noqa: FBT003 - the value is the point


def _off(doc: str) -> bool:
    return _setting(False, doc)  # noqa: FBT003 - the value is the point


class Section:
    """What every settings class is."""

    __slots__ = ()


def _port(default: int, doc: str) -> int:
    return _setting(default, doc, least=0, most=65535)


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginSettings(Section):
    """A plugin named in a file: where its class is and what it is made with."""

    class_name: str = field(
        metadata={
            _RULES: Rules(
                doc="The plugin's class, as `package.module:Class`.",
                key="class",
                pattern=r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*",
                wanted='"package.module:Class"',
            ),
        },
    )
    arguments: Mapping[str, Any] = _made(dict, "Keyword arguments of the class.")
    concurrency: int = _setting(
        64, "Calls of different charge points handled at once; 1 handles one at a time.", least=1
    )
    name: str = _setting("", "The plugin's name in logs and reports; empty means the name of the class.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TagSettings(Section):
    """What the back office knows of one id tag."""

    status: TagStatus = _setting("Accepted", "The answer to Authorize and StartTransaction.")
    expiry: datetime | None = _setting(None, "When the tag runs out: a date and time with its offset.")
    parent: str = _setting(
        "", "The parent id tag: tags with the same parent may stop each other's transactions."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings(Section):
    """The wss endpoint. It is opened beside ws as soon as a certificate is given."""

    certificate: str = _setting("", "File with the server's certificate chain (PEM); starts wss.")
    key: str = _setting("", "File with the private key of the certificate (PEM).")
    host: str = _setting(
        "", "Address for wss; empty means the same as `host`.", pattern=r"\S*", wanted="an address"
    )
    port: int = _port(9443, "Port for wss; 0 takes any free one.")
    plain: bool = _on("Keep ws beside wss; false serves wss only.")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthSettings(Section):
    """Who may connect."""

    credentials: Mapping[str, str] = _made(
        dict,
        "Charge point id to password, or `hex:` and its bytes (Basic auth); with any given, an unknown id is refused.",
        secret=True,
        pattern=r"(?s:.+)",
        wanted="a password",
        sample='{CP1 = "a long password"}',
    )
    required: bool = _off("Ask every charge point for its password, though only the store may have any.")
    hide_unknown: bool = _off("Answer an unknown id with 401 too, like a wrong password.")
    realm: str = _setting(
        "ocpp",
        "The realm named in a 401.",
        pattern=r"[ !#-\[\]-~]*",
        wanted="printable ASCII without quotes and backslashes",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings(Section):
    """The session of each charge point, and its limits."""

    call_timeout_s: float = _setting(
        60.0, "Seconds that a charge point has to answer a call of ours.", above=0
    )
    queue_limit: int = _setting(100, "Calls of ours that may wait for one charge point.", least=1)
    queue_reserve: int = _setting(
        10, "Further ones that may wait if somebody stands and waits for them, like RemoteStop.", least=0
    )
    call_expires_s: float = _setting(
        86400.0,
        "Seconds after which a call of ours that waits is not sent any more, unless it says.",
        above=0,
    )
    inbox_limit: int = _setting(
        256, "Messages that may wait in a session before its socket is read no further.", least=1
    )
    calls_in_flight_limit: int = _setting(
        16, "Calls of one charge point that may be with plugins at once; further ones are held.", least=1
    )
    ping_interval_s: float = _setting(60.0, "Seconds between our WebSocket pings; 0 sends none.", least=0)
    accept_unbooted: bool = _on("A charge point never seen booting counts as accepted.")
    answer_transactions_unregistered: bool = _on(
        "Answer Start, Stop and MeterValues of a charge point not yet accepted."
    )
    assume_subprotocol: tuple[str, ...] = _setting(
        (),
        'Charge point ids for which a missing Sec-WebSocket-Protocol means ocpp1.6; "*" is all.',
        sample='["CP1"]',
    )
    handshake_without_subprotocol: Literal["refuse", "close"] = _setting(
        "refuse",
        "No subprotocol in common: refuse with 400, or complete the handshake and close at once.",
    )
    on_duplicate: Literal["takeover", "refuse"] = _setting(
        "takeover",
        "A second socket for an id: it takes over, or is refused while the first one answers pings.",
    )
    keep_offline_s: float = _setting(
        604800.0, "Seconds that the state of an offline charge point is kept.", least=0
    )
    max_message_bytes: int = _setting(1048576, "Longest message taken from a charge point.", least=125)
    max_outbox_bytes: int = _setting(
        1048576, "Unsent bytes after which a peer that does not read is closed.", least=1024
    )
    send_timeout_s: float = _setting(
        30.0, "Seconds that one write may wait for a peer that does not read.", above=0
    )
    close_timeout_s: float = _setting(
        1.0, "Seconds that a peer has to answer our close frame before its socket is closed.", above=0
    )
    duplicate_probe_s: float = _setting(
        5.0, "Seconds that the old socket has to answer a ping, with `on_duplicate` refuse.", above=0
    )
    admission_rate: float = _setting(
        0.0, "New connections per second; more are answered 503 with Retry-After; 0 sets no limit.", least=0
    )
    admission_burst: int = _setting(1000, "New connections at once before `admission_rate` counts.", least=1)
    close_spread_s: float = _setting(
        3.0, "Seconds over which the sockets are closed at stop, so that not all come back at once.", least=0
    )
    recorder_bytes: int = _setting(
        8192, "Bytes of the last frames and events kept for each charge point; 0 keeps none.", least=0
    )
    effect_timeout_s: float = _setting(
        300.0, "Seconds to wait for the effect of a call from its end on, unless the call says.", above=0
    )
    clock_tolerance_s: float = _setting(
        600.0,
        "Seconds that a StartTransaction may be older, by its own timestamp, than the call it is the effect of.",
        least=0,
    )
    max_connections: int = _setting(0, "Connections served at once; 0 sets no limit.", least=0)
    handshake_timeout_s: float = _setting(10.0, "Seconds that a client has to finish its handshake.", above=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlineSettings(Section):
    """How long a plugin may take before the stand-in answers."""

    default_s: float = _setting(10.0, "Seconds that a handler has to answer a call.", above=0)
    actions: Mapping[str, float] = _made(
        dict,
        "Action name to seconds, where one needs another deadline.",
        above=0,
        sample="{Authorize = 5.0}",
    )
    notices_s: float = _setting(
        0.0,
        "Seconds that a handler has for what is no call (online, offline, outcome) and a shadow for a call; "
        "0 means as in `default_s`.",
        least=0,
    )
    stand_in_id_tag_status: TagStatus = _setting(
        "Accepted",
        "The id tag's verdict when a stand-in acknowledges a StartTransaction: the car is charging already.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BackOfficeSettings(Section):
    """The bundled plugin that answers what no other plugin claims."""

    enabled: bool = _on("Run the back office; without it an unclaimed action is NotSupported.")
    heartbeat_interval_s: int = _setting(300, "Seconds between heartbeats, given out at boot.", least=0)
    heartbeat_spread: float = _setting(
        0.1,
        "Part of the heartbeat interval by which it is shortened at random, so that not all come at once.",
        least=0,
        most=0.5,
    )
    accept_all_tags: bool = _on("Accept every id tag that is not in `tags`.")
    tags: Mapping[str, TagSettings] = _made(
        dict,
        "Id tag to its status, or to a table of status, expiry and parent.",
        short="status",
        sample='{T1 = "Blocked", T2 = {expiry = 2030-01-01T00:00:00Z, parent = "FLEET"}}',
    )
    concurrent_transactions: bool = _on(
        "Let an id tag have several transactions at once; without it the next one is ConcurrentTx."
    )
    suspect_energy_wh: int = _setting(
        1_000_000, "Energy of one transaction in Wh over which it is flagged.", least=1
    )
    registration: Literal["Accepted", "Pending", "Rejected"] = _setting(
        "Accepted", "The answer to BootNotification."
    )
    local_list_limit: int = _setting(
        100,
        "Tags that one SendLocalList carries when the local list is brought in step: SendLocalListMaxLength.",
        least=1,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisionSettings(Section):
    """How failed actors are brought back."""

    intensity: int = _setting(3, "Restarts of one child allowed within `period_s`.", least=0)
    period_s: float = _setting(5.0, "Seconds over which restarts are counted.", above=0)
    backoff_min_s: float = _setting(
        0.2, "Seconds before the second restart; each further one waits longer.", least=0
    )
    backoff_max_s: float = _setting(30.0, "Longest wait before a restart, in seconds.", least=0)
    backoff_reset_s: float = _setting(
        60.0, "Seconds without a failure after which the wait starts small again.", above=0
    )
    handler_failures: int = _setting(
        3, "Failures in a row of one action of one charge point after which stand-ins answer it.", least=1
    )
    failing_charge_points: int = _setting(
        3, "Charge points that must be hit by a plugin's failures before they spend its budget.", least=1
    )
    failure_window_s: float = _setting(60.0, "Seconds for which such a failure counts.", above=0)
    probe_s: float = _setting(
        30.0, "Seconds after which one call is let through to a handler that stand-ins answer for.", above=0
    )
    quarantine_s: float = _setting(
        60.0,
        "Seconds of a plugin's first quarantine, until one call is let through to see; the next is twice as long; "
        "0 waits for a command.",
        least=0,
    )
    replay_delay_s: float = _setting(
        1.0, "Seconds before a spooled message is handed to its plugin; doubled at each failure.", above=0
    )
    replay_delay_max_s: float = _setting(60.0, "Longest wait before another try.", above=0)
    replay_attempts: int = _setting(
        5,
        "Tries after which a spooled message no longer holds up other transactions, and may be set aside.",
        least=1,
    )
    hang_s: float = _setting(
        10.0, "Seconds after which a session that waits in the middle of a message is ended.", above=0
    )
    watchdog_s: float = _setting(
        0.0, "Seconds of a blocked hub that are reported with its stack; 0 reports none.", least=0
    )
    start_s: float = _setting(
        10.0, "Seconds that one child has to start before it is killed, which counts as a failure.", above=0
    )
    shutdown_s: float = _setting(3.0, "Seconds that one child has to stop before it is killed.", least=0)
    stop_timeout_s: float = _setting(
        0.0,
        "Seconds that the whole system has to stop, then what is left is killed; 0 lets every child have its own time.",
        least=0,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings(Section):
    """The HTTP API, on a port of its own."""

    enabled: bool = _off("Serve the HTTP API; the command line turns it on.")
    host: str = _setting("127.0.0.1", "Address for HTTP.", pattern=r"\S+", wanted="an address")
    port: int = _port(8080, "Port for HTTP; 0 takes any free one.")
    open: bool = _off("Ask for no token; on loopback only.")
    token: str = _setting(
        "", "The bearer token; empty makes one at start and writes it into `data`.", secret=True
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisSettings(Section):
    """Redis, for what more than one process takes part in."""

    url: str = _setting(
        "",
        "Redis, as redis://, rediss:// or redis+sentinel://; empty does without.",
        secret=True,
        pattern=r"(rediss?(\+sentinel)?://\S+)?",
        wanted="a URL that begins with redis://, rediss:// or redis+sentinel://",
        sample='"redis://127.0.0.1:6379/0"',
    )
    prefix: str = _setting(
        "chargehand",
        "Begins the name of everything in Redis.",
        pattern=r"[^\s{}]+",
        wanted="text without blanks",
    )
    node: str = _setting(
        "",
        "Begins the name of this process; empty means the host's name.",
        pattern=r"[^\s{}]*",
        wanted="a name",
    )
    partitions: int = _setting(
        16, "Streams between nodes and the workers of a group; the same for all nodes.", least=1, most=1024
    )
    stream_limit: int = _setting(
        10_000, "Messages that may wait in one stream; stand-ins answer for more.", least=1
    )
    remote_actions: tuple[str, ...] = _setting(
        (),
        'Actions that workers handle (`chargehand worker`); "*" is all that no plugin of this process claims.',
        sample='["Authorize", "StartTransaction"]',
    )
    remote_groups: Mapping[str, str] = _made(
        dict,
        'Action to the group of workers that handles it, for those not for the group "default"; "*" is all others.',
        pattern=r"[A-Za-z0-9_-]+",
        wanted="letters, digits, _ and -",
        sample='{Authorize = "tags"}',
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings(Section):
    """Logs of the program. A library user configures logging in the usual way instead."""

    level: LogLevel = _setting("INFO", "Lowest level that is logged.")
    format: Literal["text", "json"] = _setting("text", "Lines for people, or one JSON object per line.")
    file: str = _setting("", "Log file; empty logs to standard error only.", sample='"chargehand.log"')
    rotate_when: Literal["midnight", "hour", "never"] = _setting(
        "midnight", "When a new file is begun, by UTC."
    )
    rotate_bytes: int = _setting(104857600, "Size at which a new file is begun; 0 sets no limit.", least=0)
    keep_files: int = _setting(14, "Old files kept; the oldest goes first.", least=0)
    disk_limit_bytes: int = _setting(
        1073741824, "Bytes that all log files may take together; 0 sets no limit.", least=0
    )
    levels: Mapping[str, LogLevel] = _made(
        dict,
        "Logger name to its own lowest level.",
        sample='{"chargehand.transport" = "DEBUG"}',
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(Section):
    """All settings of a central system. Sections are tables in a file."""

    host: str = _setting("127.0.0.1", "Address for ws.", pattern=r"\S+", wanted="an address")
    port: int = _port(9000, "Port for ws; 0 takes any free one.")
    path: str = _setting(
        "/ocpp/{id}",
        "Path of a charge point; `{id}` is its last segment, `/{name}/{id}` hands out a name too.",
        pattern=r"(/[^/{}\s?#]+)*(/\{name\}(/[^/{}\s?#]+)*)?/\{id\}",
        wanted='segments with {id} exactly once as the last one, like "/ocpp/{id}" or "/{name}/{id}"',
    )
    open: bool = _off("Bind another address than loopback although no credentials are set.")
    data: str = _setting(
        "./chargehand-data", "Folder for what the server writes.", pattern=r".+", wanted="a folder"
    )
    store: str = _setting(
        "memory",
        'Where transactions are kept: "memory" ends with the process, "sqlite" is a file in `data`, a URL is a'
        " database of PostgreSQL (the extra `postgres`), which several nodes may share.",
        pattern=r"memory|sqlite|postgres(ql)?://\S+",
        wanted='"memory", "sqlite" or "postgresql://user@host/database"',
        sample='"postgresql://chargehand@db.example.com/chargehand"',
        url=True,
    )
    workers: int = _setting(
        1,
        "Processes of `chargehand serve` on the same ports; more than one need a store that they share.",
        least=1,
        most=256,
    )
    transport: Literal["greenlet", "reactor"] = _setting(
        "greenlet", "How sockets are served: a greenlet for each, or the hub's watchers for all."
    )
    policy: Literal["lenient", "strict"] = _setting(
        "lenient",
        "Take what real charge points send and flag it, or refuse every deviation.",
    )
    plugins: tuple[PluginSettings, ...] = _setting(
        (),
        'Plugins: "package.module:Class", or tables with class, arguments, concurrency and name.',
        short="class",
        sample='["shop.tags:Tags", {class = "shop.audit:Audit", arguments = {path = "a.csv"}}]',
    )
    tls: TlsSettings = _made(TlsSettings, "The wss endpoint.")
    auth: AuthSettings = _made(AuthSettings, "Who may connect.")
    sessions: SessionSettings = _made(SessionSettings, "The session of each charge point, and its limits.")
    deadlines: DeadlineSettings = _made(
        DeadlineSettings, "How long a plugin may take before the stand-in answers."
    )
    back_office: BackOfficeSettings = _made(
        BackOfficeSettings, "The plugin that answers what no other one claims."
    )
    supervision: SupervisionSettings = _made(SupervisionSettings, "How failed actors are brought back.")
    http: HttpSettings = _made(HttpSettings, "The HTTP API, on a port of its own.")
    redis: RedisSettings = _made(RedisSettings, "Redis, for what more than one process takes part in.")
    log: LogSettings = _made(LogSettings, "Logs of the program.")
