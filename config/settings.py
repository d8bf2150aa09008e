"""Every setting of a central system: its name, type, default and one line of documentation.

Frozen, keyword-only dataclasses. An embedder builds them by hand, as in
`Settings(port=0, http=HttpSettings(enabled=True))`; `load` builds them from a file, the environment and the
command line. One rule: what is said here is said nowhere else; the schemas, the example file and the table
in the documentation are made from these declarations. Never reads a file, never looks at the environment.
Those of charge points and their sessions are in `sessions.py`, those of memory, descriptors and disk in
`resources.py`, those of retention and backups in `upkeep.py`.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .resources import ResourceSettings
from .sessions import (
    AuthSettings,
    BackOfficeSettings,
    BulkSettings,
    CaSettings,
    DeadlineSettings,
    SessionSettings,
)
from .setting import Section, made, off, on, port_number, required, setting
from .upkeep import BackupSettings, RetentionSettings

LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]

BUNDLED_PLUGINS = (
    "chargehand.plugins.accepted_state:AcceptedState",
    "chargehand.plugins.authorization_keys:AuthorizationKeys",
    "chargehand.plugins.certificate_authority:CertificateAuthority",
    "chargehand.plugins.back_office:BackOffice",
    "chargehand.plugins.back_office_201:BackOffice201",
    "chargehand.plugins.reports_201:Reports201",
    "chargehand.plugins.security_profiles:SecurityProfiles",
)
"""Plugins that come with chargehand, in the order of their start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginSettings(Section):
    """A plugin named in a file: its class, and the settings or the arguments of that."""

    class_name: str = required(
        "The plugin's class, as `package.module:Class`, or the name of an installed plugin.",
        key="class",
        pattern=r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*|[A-Za-z0-9][A-Za-z0-9_-]*",
        wanted='"package.module:Class" or the name of an installed plugin',
    )
    settings: Mapping[str, Any] = made(
        dict, "The plugin's own settings; in `[plugins.NAME]` they may stand beside the keys here."
    )
    arguments: Mapping[str, Any] = made(dict, "Keyword arguments of the class.")
    concurrency: int = setting(
        64, "Calls of different charge points handled at once; 1 handles one at a time.", least=1
    )
    name: str = setting("", "The plugin's name in logs and reports; empty means the name of the class.")
    blocking: bool = off("Run its handlers in native threads, so that they may block in C.")
    threads: int = setting(8, "Native threads for its handlers that block.", least=1)
    scope: Literal["process", "cluster"] = setting(
        "process",
        "Processes that run it: every one, or one among all worker processes and nodes, for the events of all.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateSettings(Section):
    """A certificate of the server, with its key."""

    certificate: str = required("File with the certificate chain (PEM).", pattern=r".+", wanted="a file")
    key: str = required("File with its private key (PEM).", pattern=r".+", wanted="a file")


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings(Section):
    """The wss endpoint. It is opened beside ws as soon as a certificate is given."""

    certificate: str = setting("", "File with the server's certificate chain (PEM); starts wss.")
    key: str = setting("", "File with the private key of the certificate (PEM).")
    certificates: tuple[CertificateSettings, ...] = setting(
        (),
        "Certificates beside that one, as tables with certificate and key: one for each kind of key (RSA, ECDSA), so "
        "that all suites can be used.",
        sample='[{certificate = "rsa.pem", key = "rsa.key"}]',
    )
    client_ca: str = setting(
        "",
        "File with the CAs of client certificates (PEM), or a folder of such; clients are asked for a certificate.",
    )
    client_crl: str = setting(
        "",
        "File with revocation lists of these CAs (PEM), or a folder of such files; with it each CA that signs client "
        "certificates needs a list that has not run out.",
    )
    suites: tuple[str, ...] = setting(
        (),
        "Suites of TLS 1.2 by their names in OpenSSL or IANA, the preferred one first; empty for those of the security "
        "white paper and others of the same strength. Those of TLS 1.3 are always there.",
        sample='["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_RSA_WITH_AES_128_GCM_SHA256"]',
    )
    reload_s: float = setting(
        10.0,
        "Seconds between two looks whether the files have changed, which are then read again; 0 never looks.",
        least=0,
    )
    expiry_warn_days: float = setting(
        30.0, "Days before a certificate runs out from which that is warned of; 0 never warns.", least=0
    )
    host: str = setting(
        "", "Address for wss; empty means the same as `host`.", pattern=r"\S*", wanted="an address"
    )
    port: int = port_number(9443, "Port for wss; 0 takes any free one.")
    plain: bool = on("Keep ws beside wss; false serves wss only.")

    @property
    def pairs(self) -> tuple[CertificateSettings, ...]:
        """Certificates with their keys, the single pair first; empty without TLS."""
        if not self.certificate:
            return self.certificates
        return (CertificateSettings(certificate=self.certificate, key=self.key), *self.certificates)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySettings(Section):
    """Proxies in front of ws and wss, which tell who has connected to them."""

    trusted: tuple[str, ...] = setting(
        (),
        "Addresses or networks of the proxies; only they are believed.",
        pattern=r"[0-9A-Fa-f.:]+(/[0-9]+)?",
        wanted="an address or a network",
        sample='["10.0.0.7", "10.1.0.0/16"]',
    )
    protocol: Literal["none", "v2"] = setting(
        "none", "Header of the PROXY protocol that each connection of them begins with: none, or version 2."
    )
    headers: bool = off(
        "Believe their headers X-Forwarded-For, X-Forwarded-Proto, X-SSL-Client-Verify and X-SSL-Client-Cert."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisionSettings(Section):
    """Supervision: restarts, circuit breakers, quarantine, redelivery, watchdog."""

    intensity: int = setting(3, "Restarts of one child allowed within `period_s`.", least=0)
    period_s: float = setting(5.0, "Seconds over which restarts are counted.", above=0)
    backoff_min_s: float = setting(
        0.2, "Seconds before the second restart; the backoff grows from there.", least=0
    )
    backoff_max_s: float = setting(30.0, "Longest wait before a restart, in seconds.", least=0)
    backoff_reset_s: float = setting(
        60.0, "Seconds without a failure after which the wait starts small again.", above=0
    )
    handler_failures: int = setting(
        3,
        "Circuit breaker: failures in a row of an action of a charge point after which the fallback answers.",
        least=1,
    )
    failing_charge_points: int = setting(
        3,
        "Distinct charge points that a plugin must fail for before that counts as a crash of the plugin.",
        least=1,
    )
    failure_window_s: float = setting(60.0, "Seconds for which a handler's failure counts.", above=0)
    trial_call_s: float = setting(
        30.0, "Circuit breaker: seconds before a trial call after it has opened.", above=0
    )
    quarantine_s: float = setting(
        60.0,
        "Seconds of a plugin's first quarantine, until a trial call; the next is twice as long; "
        "0 waits for a command.",
        least=0,
    )
    redelivery_delay_s: float = setting(
        1.0, "Seconds before a spooled message is handed to its plugin; doubled at each failure.", above=0
    )
    redelivery_delay_max_s: float = setting(
        60.0, "Longest delay between two tries of redelivery, in seconds.", above=0
    )
    redelivery_attempts: int = setting(
        5,
        "Tries after which a spooled message no longer delays other transactions, and may become a dead letter.",
        least=1,
    )
    hang_s: float = setting(
        10.0,
        "Seconds after which a session that blocks inside a message is killed and restarted, and threads wait no "
        "longer for a hub that is blocked.",
        above=0,
    )
    watchdog_s: float = setting(
        1.0,
        "Seconds that the hub may be blocked before that is logged, with the handler and its stack; 0 logs nothing.",
        least=0,
    )
    watchdog_stderr: bool = off("Write a block to standard error at once too, not only when it is over.")
    start_s: float = setting(
        10.0, "Seconds that one child has to start before it is killed, which counts as a failure.", above=0
    )
    shutdown_s: float = setting(3.0, "Seconds that one child has to stop before it is killed.", least=0)
    stop_timeout_s: float = setting(
        0.0,
        "Seconds that the whole system has to stop before the rest is killed; 0 means the sum of its children's times.",
        least=0,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSettings(Section):
    """Stored events: status history, firmware steps, security events, data transfers and more."""

    per_charge_point: int = setting(
        10_000,
        "Stored events of one charge point; of more the oldest are dropped, some hundreds at a time; 0 sets no limit.",
        least=0,
    )
    size_bytes: int = setting(
        16_384,
        "Bytes of one stored event, as JSON; long members of a larger one are cut, and named; 0 sets no limit.",
        least=0,
    )
    attempts: int = setting(
        10,
        "Tries to deliver a durable event to a consumer whose handler fails; then it is a dead letter.",
        least=1,
    )
    keep_number: int = setting(
        100_000, "Durable events that are kept for their consumers; 0 sets no limit.", least=0
    )
    alert_severity: int = setting(
        4,
        "Severity from which on an event of a monitored variable raises an alert: 0 is danger, 4 an error, 9 "
        "debugging; -1 raises none.",
        least=-1,
        most=9,
    )
    keep_days: float = setting(
        14.0, "Days for which durable events are kept for their consumers; 0 sets no limit.", least=0
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSettings(Section):
    """Reports that stations of OCPP 2.0.1 send in parts, and the variables that they tell."""

    size_bytes: int = setting(
        4_194_304,
        "Bytes of one report, with 512 more for each of its parts; further parts are not stored, and the report is "
        "partial.",
        least=1024,
    )
    kept: int = setting(
        3, "Reports of one kind that are kept of a charge point; of more the oldest are dropped.", least=1
    )
    wait_s: float = setting(
        120.0, "Seconds after its last part for which a report that is not whole waits for others.", above=0
    )
    variables: int = setting(
        5000,
        "Attributes of variables that are stored of a charge point; of more those told longest ago are dropped.",
        least=1,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings(Section):
    """The HTTP API, on a port of its own."""

    enabled: bool = off("Serve the HTTP API; the command line turns it on.")
    host: str = setting("127.0.0.1", "Address for HTTP.", pattern=r"\S+", wanted="an address")
    port: int = port_number(8080, "Port for HTTP; 0 takes any free one.")
    tls: bool = off("Serve HTTP over TLS, with the certificates of `tls`.")
    open_metrics: bool = off("Serve `/metrics` without a token; the health endpoints never need one.")
    open: bool = off("Disable bearer-token authentication of the HTTP API (loopback only).")
    page: bool = on("Serve the operator's page at `/` of the HTTP port.")
    login_s: float = setting(
        86_400.0, "Seconds for which a login at the page lasts, at most as long as its token.", least=60.0
    )
    logins: int = setting(1000, "Logins at the page at a time; with one more the oldest ends.", least=1)
    failed_logins: int = setting(
        30,
        "Requests with a wrong token that an address may send in a minute; more are answered 429. The right token "
        "gets in all the same, unless it is one of fewer than 16 characters in the settings. 0 sets no limit.",
        least=0,
    )
    cors_origins: tuple[str, ...] = setting(
        (),
        "Origins whose web pages may use the HTTP API from a browser; none by default.",
        sample='["https://operator.example.com"]',
    )
    access_log: bool = off(
        "Log a line for each HTTP request: name of the token, address, method, path, status, bytes and duration."
    )
    event_streams: int = setting(100, "Streams of events and of frames over HTTP open at a time.", least=0)
    token: str = setting(
        "", "The bearer token; empty makes one at start and writes it into `data`.", secret=True
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisSettings(Section):
    """Redis, for clustering and remote plugins."""

    url: str = setting(
        "",
        "URL of Redis: redis://, rediss:// or redis+sentinel://; empty means none.",
        secret=True,
        pattern=r"(rediss?(\+sentinel)?://\S+)?",
        wanted="a URL that begins with redis://, rediss:// or redis+sentinel://",
        sample='"redis://127.0.0.1:6379/0"',
    )
    prefix: str = setting(
        "chargehand",
        "Prefix of all keys in Redis.",
        pattern=r"[^\s{}]+",
        wanted="text without blanks",
    )
    secret: str = setting(
        "",
        "Secret of all nodes, plugin hosts and clients: what they ask of one another is taken only if it is sealed "
        "with it. Empty: whoever may write to Redis commands every charge point.",
        secret=True,
        pattern=r"(.{16,})?",
        wanted="at least 16 characters",
    )
    node: str = setting(
        "",
        "Prefix of this node's name; empty means the host's name.",
        pattern=r"[^\s{}]*",
        wanted="a name",
    )
    partitions: int = setting(
        16,
        "Streams between the nodes and the plugin hosts of a group; the same for all nodes.",
        least=1,
        most=1024,
    )
    stream_limit: int = setting(
        10_000, "Messages that may wait in a stream; fallbacks answer for more.", least=1
    )
    remote_actions: tuple[str, ...] = setting(
        (),
        'Actions for plugin hosts (`chargehand plugin-host`); "*" is all that no plugin of this process claims.',
        sample='["Authorize", "StartTransaction"]',
    )
    remote_groups: Mapping[str, str] = made(
        dict,
        'Action to its group of plugin hosts, for those not for the group "default"; "*" is all others.',
        pattern=r"[A-Za-z0-9_-]+",
        wanted="letters, digits, _ and -",
        sample='{Authorize = "tags"}',
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings(Section):
    """Logs of the program. A library user configures logging in the usual way instead."""

    level: LogLevel = setting("INFO", "Lowest level that is logged.")
    format: Literal["text", "json"] = setting("text", "Lines for people, or one JSON object per line.")
    file: str = setting("", "Log file; empty logs to standard error only.", sample='"chargehand.log"')
    audit_file: str = setting(
        "",
        "Audit log: a JSON object for each change over HTTP, rotated like `file`; empty writes none.",
        sample='"audit.jsonl"',
    )
    rotate_when: Literal["midnight", "hour", "never"] = setting(
        "midnight", "When a new file is begun, by UTC."
    )
    rotate_bytes: int = setting(104857600, "Size at which a new file is begun; 0 sets no limit.", least=0)
    keep_files: int = setting(14, "Old files kept; the oldest goes first.", least=0)
    disk_limit_bytes: int = setting(
        1073741824, "Bytes that all log files may take together; 0 sets no limit.", least=0
    )
    repeat_s: float = setting(
        60.0,
        "Interval in seconds for `repeat_lines`; lines left out are counted, and told at its end; 0 sets no limit.",
        least=0,
    )
    repeat_lines: int = setting(
        10,
        "Lines of one charge point (or address) and one reason written in `repeat_s`; for a library too.",
        least=1,
    )
    levels: Mapping[str, LogLevel] = made(
        dict,
        "Logger name to its own lowest level.",
        sample='{"chargehand.transport" = "DEBUG"}',
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CliSettings(Section):
    """The command line."""

    times: Literal["local", "utc"] = setting(
        "local", "Zone of times that commands show, and of those given to them without an offset."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(Section):
    """All settings of a central system. Sections are tables in a file."""

    host: str = setting("127.0.0.1", "Address for ws.", pattern=r"\S+", wanted="an address")
    port: int = port_number(9000, "Port for ws; 0 takes any free one.")
    path: str = setting(
        "/ocpp/{id}",
        "Path of a charge point; `{id}` is its last segment, `/{name}/{id}` hands out a name too.",
        pattern=r"(/[^/{}\s?#]+)*(/\{name\}(/[^/{}\s?#]+)*)?/\{id\}",
        wanted='segments with {id} exactly once as the last one, like "/ocpp/{id}" or "/{name}/{id}"',
    )
    open: bool = off("Allow binding a non-loopback address without any configured credentials.")
    data: str = setting(
        "./chargehand-data", "Folder for what the server writes.", pattern=r".+", wanted="a folder"
    )
    store: str = setting(
        "memory",
        'Store: "memory" ends with the process, "sqlite" is a file in `data`, a URL is a'
        " database of PostgreSQL (the extra `postgres`), which several nodes may share.",
        pattern=r"memory|sqlite|postgres(ql)?://\S+",
        wanted='"memory", "sqlite" or "postgresql://user@host/database"',
        sample='"postgresql://chargehand@db.example.com/chargehand"',
        url=True,
    )
    workers: int = setting(
        1,
        "Worker processes of `chargehand serve` on the same ports; more than one need a shared store.",
        least=1,
        most=256,
    )
    transport: Literal["greenlet", "reactor"] = setting(
        "greenlet", "Transport: a greenlet for each connection, or the hub's watchers for all (reactor)."
    )
    policy: Literal["lenient", "strict"] = setting(
        "lenient",
        "Accept what real charge points send and count deviations, or refuse every deviation.",
    )
    naive_times: str = setting(
        "utc",
        'Zone of times that charge points send without one: "utc", an offset such as "+02:00", or "refuse": such'
        " a time counts as one that cannot be read. With the lenient policy.",
        pattern=r"utc|refuse|[+-]([01][0-9]|2[0-3]):[0-5][0-9]",
        wanted='"utc", "refuse" or an offset such as "+02:00"',
        sample='"+02:00"',
    )
    plugins: tuple[PluginSettings, ...] = setting(
        (),
        'Plugins: "package.module:Class", the name of an installed one, or tables, as below; or a table '
        "`[plugins.NAME]` for each.",
        short="class",
        keyed="name",
        sample='["shop.tags:Tags", {class = "shop.audit:Audit", arguments = {path = "a.csv"}}]',
    )
    bundled_plugins: tuple[str, ...] = setting(
        BUNDLED_PLUGINS,
        'Plugins of chargehand itself, as "package.module:Class", behind those of `plugins`; they answer the rest.',
    )
    tls: TlsSettings = made(TlsSettings, "The wss endpoint.")
    proxy: ProxySettings = made(ProxySettings, "Proxies in front of ws and wss.")
    auth: AuthSettings = made(AuthSettings, "Who may connect.")
    sessions: SessionSettings = made(SessionSettings, "The session of each charge point, and its limits.")
    ca: CaSettings = made(CaSettings, "The certificate authority, which signs for charge points.")
    bulk: BulkSettings = made(BulkSettings, "Commands to many charge points.")
    deadlines: DeadlineSettings = made(
        DeadlineSettings, "How long a plugin may take before the fallback answers."
    )
    back_office: BackOfficeSettings = made(
        BackOfficeSettings, "The plugin that answers what no other one claims."
    )
    supervision: SupervisionSettings = made(SupervisionSettings, "How failed actors are brought back.")
    events: EventSettings = made(EventSettings, "What is stored of events.")
    reports: ReportSettings = made(ReportSettings, "Reports that come in parts, and variables.")
    http: HttpSettings = made(HttpSettings, "The HTTP API, on a port of its own.")
    resources: ResourceSettings = made(
        ResourceSettings, "What the process may use, and what it gives up before that is used up."
    )
    retention: RetentionSettings = made(
        RetentionSettings, "How long records are kept, and where older ones are exported to."
    )
    backup: BackupSettings = made(BackupSettings, "Backups of the store that the server makes by itself.")
    redis: RedisSettings = made(RedisSettings, "Redis, for clustering and remote plugins.")
    log: LogSettings = made(LogSettings, "Logs of the program.")
    cli: CliSettings = made(CliSettings, "The command line.")

    @property
    def naive_zone(self) -> dt.tzinfo | None:
        """Zone of times without one; None if such a time cannot be read."""
        if self.naive_times == "refuse":
            return None
        if self.naive_times == "utc":
            return dt.UTC
        minutes = int(self.naive_times[1:3]) * 60 + int(self.naive_times[4:6])
        return dt.timezone(dt.timedelta(minutes=-minutes if self.naive_times[0] == "-" else minutes))
