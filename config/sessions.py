"""Settings of charge points: admission, sessions, deadlines and the back office."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from .setting import Section, made, off, on, setting

TagStatus = Literal["Accepted", "Blocked", "Expired", "Invalid"]
StoredTagStatus = Literal[
    "Accepted", "Blocked", "Expired", "Invalid", "NoCredit", "NotAllowedTypeEVSE", "NotAtThisLocation",
    "NotAtThisTime", "Unknown",
]  # fmt: skip

StoredTokenType = Literal["", "Central", "eMAID", "ISO14443", "ISO15693", "KeyCode", "Local", "MacAddress"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TagSettings(Section):
    """An id tag of the back office."""

    status: StoredTagStatus = setting("Accepted", "The answer to Authorize and StartTransaction.")
    expiry: datetime | None = setting(None, "When the tag runs out: a date and time with its offset.")
    parent: str = setting(
        "", "The parent id tag: tags with the same parent may stop each other's transactions."
    )
    id_type: StoredTokenType = setting(
        "", "The type of its token in OCPP 2.0.1; empty for any. OCPP 1.6 has no types."
    )
    language: str = setting(
        "",
        "The language of the driver in OCPP 2.0.1, as `en`.",
        pattern=r"(?s:.{0,8})",
        wanted="at most 8 characters",
    )
    message: str = setting(
        "",
        "A text that stations of OCPP 2.0.1 show to the driver.",
        pattern=r"(?s:.{0,512})",
        wanted="at most 512 characters",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthSettings(Section):
    """Authentication of charge points."""

    credentials: Mapping[str, str] = made(
        dict,
        "Charge point id to password (Basic auth), or its bytes behind `hex:` or `base64:`; with any given, an unknown "
        "id is refused.",
        secret=True,
        pattern=r"(?s:.+)",
        wanted="a password",
        sample='{CP1 = "a long password"}',
    )
    required: bool = off(
        "Require a password from every charge point, even without credentials in the settings."
    )
    failed_logins: int = setting(
        10,
        "Wrong passwords of one charge point from one address in a minute; more are answered 429, unread. 0 sets no "
        "limit.",
        least=0,
    )
    failed_logins_per_address: int = setting(
        100,
        "The same of all charge points from one address: a proxy is one address for all behind it. 0 sets no limit.",
        least=0,
    )
    failed_logins_per_id: int = setting(
        100,
        "The same of one charge point from all addresses; its last address, and a key of 16 bytes and more, count on. "
        "0 sets no limit.",
        least=0,
    )
    rotation_warn_s: float = setting(
        86400.0,
        "Seconds after which a new key that no connection has used yet is warned of; the old one counts until then. "
        "0 never warns.",
        least=0,
    )
    security_profile: int = setting(
        0,
        "Least security profile of all charge points: 0 none, 1 a password, 2 TLS and a password, 3 TLS and a client "
        "certificate. That of a single one (`charge-points set`) may be higher.",
        least=0,
        most=3,
    )
    certificate_name: Literal["id", "serial_number"] = setting(
        "id",
        "The name that a client certificate must have as common or alternative name: the id of the charge point, or "
        "the serial number that it told in its BootNotification.",
    )
    certificate_names: Mapping[str, str] = made(
        dict,
        "Charge point id to the name that its client certificate must have instead.",
        pattern=r"(?s:.+)",
        wanted="a name",
        sample='{CP1 = "SN-0001"}',
    )
    hide_unknown: bool = off("Answer an unknown id with 401 too, like a wrong password.")
    unknown: Literal["accept", "refuse", "ask"] = setting(
        "accept",
        "Charge points that nobody has entered: accept them, refuse them, or let them in with the registration "
        "Pending until a person approves them.",
    )
    unknown_per_day: int = setting(
        50_000,
        "Charge points that nobody has entered and that are not known yet which may connect in 24 hours, without proof "
        'of who they are and with `unknown = "accept"`; more are answered 429. 0 sets no limit.',
        least=0,
    )
    applicants_limit: int = setting(
        100, 'Charge points that may wait for approval, with `unknown = "ask"`; others are refused.', least=0
    )
    authenticate_s: float = setting(
        5.0, "Seconds that a handshake waits for the verdict of a plugin's `@authenticate`.", above=0
    )
    authenticate_failure: Literal["refuse", "credentials"] = setting(
        "refuse",
        "Handshakes for which such a plugin failed: refuse with 503, or let the credentials here decide.",
    )
    realm: str = setting(
        "ocpp",
        "The realm named in a 401.",
        pattern=r"[ !#-\[\]-~]*",
        wanted="printable ASCII without quotes and backslashes",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings(Section):
    """The session of each charge point, and its limits."""

    command_timeout_s: float = setting(60.0, "Seconds that a charge point has to answer a command.", above=0)
    queue_limit: int = setting(100, "Commands that may wait for a charge point.", least=1)
    queue_reserve: int = setting(
        10,
        "Extra queue slots for urgent commands (RemoteStart/Stop, Reset, UnlockConnector, CancelReservation).",
        least=0,
    )
    command_expires_s: float = setting(
        86400.0,
        "Default seconds after which a waiting command expires and is not sent any more.",
        above=0,
    )
    inbox_limit: int = setting(
        256, "Messages that may wait in a session before reading from its socket is paused.", least=1
    )
    calls_in_flight_limit: int = setting(
        16, "Calls of one charge point that may be with plugins at once; further ones are held.", least=1
    )
    ping_interval_s: float = setting(60.0, "Seconds between our WebSocket pings; 0 sends none.", least=0)
    accept_unbooted: bool = on("A charge point never seen booting counts as accepted.")
    answer_transactions_unregistered: bool = on(
        "Answer Start, Stop and MeterValues of a charge point not yet accepted."
    )
    versions: tuple[str, ...] = setting(
        (),
        "Versions of OCPP that charge points may choose from; empty for all that are spoken.",
        sample='["1.6", "2.0.1"]',
    )
    versions_of: Mapping[str, str] = made(
        dict,
        "Charge point id to the one version of OCPP that it may speak, where it must not choose.",
        sample='{CP1 = "1.6"}',
    )
    compression: tuple[str, ...] = setting(
        ("2.0.1",),
        "Versions of OCPP with which compression (permessage-deflate) is agreed on when a charge point offers it; "
        "`[]` is none.",
    )
    compression_min_bytes: int = setting(
        256, "Shortest message in bytes that is sent compressed, where compression was agreed on.", least=1
    )
    compression_window_bits: int = setting(
        12,
        "Largest window of compressed messages in bits, both ways; a charge point may ask for a smaller one.",
        least=9,
        most=15,
    )
    compression_takeover: bool = off(
        "Let both ends compress with what earlier messages held: shorter messages, but up to 80 KiB more for each "
        "connection, with a window of 15 bits 190."
    )
    assume_subprotocol: tuple[str, ...] = setting(
        (),
        'Charge point ids for which a missing Sec-WebSocket-Protocol means ocpp1.6; "*" is all.',
        sample='["CP1"]',
    )
    handshake_without_subprotocol: Literal["refuse", "close"] = setting(
        "refuse",
        "No subprotocol in common: refuse with 400, or complete the handshake and close at once.",
    )
    on_duplicate: Literal["takeover", "refuse"] = setting(
        "takeover",
        "A second socket for an id: it takes over, or is refused while the first one answers pings.",
    )
    keep_offline_s: float = setting(
        604800.0, "Seconds that the session of an offline charge point is kept in memory.", least=0
    )
    keep_unbooted: int = setting(
        1000,
        "Sessions of offline charge points that have never booted which are kept in memory; of more the oldest go.",
        least=0,
    )
    identity_chars: int = setting(
        255, "Longest identity of a charge point in characters; a longer one is answered 400.", least=1
    )
    max_message_bytes: int = setting(1048576, "Longest message taken from a charge point.", least=125)
    messages_per_s: float = setting(
        1000.0,
        "Messages per second taken from one connection, behind its `messages_burst`, control frames and fragments "
        "included; for more its reading pauses. 0 sets no limit.",
        least=0,
    )
    messages_burst: int = setting(
        5000, "Messages of one connection taken at full speed before `messages_per_s` counts.", least=1
    )
    bytes_per_s: float = setting(
        1048576.0,
        "Bytes per second taken from one connection, behind its `bytes_burst`; 0 sets no limit.",
        least=0,
    )
    bytes_burst: int = setting(
        4194304, "Bytes of one connection taken at full speed before `bytes_per_s` counts.", least=1
    )
    max_outbox_bytes: int = setting(
        1048576, "Unsent bytes after which a peer that does not read is closed.", least=1024
    )
    send_timeout_s: float = setting(
        30.0, "Seconds that one write may wait for a peer that does not read.", above=0
    )
    close_timeout_s: float = setting(
        1.0, "Seconds that a peer has to answer our close frame before its socket is closed.", above=0
    )
    duplicate_probe_s: float = setting(
        5.0, "Seconds that the old socket has to answer a ping, with `on_duplicate` refuse.", above=0
    )
    admission_rate: float = setting(
        0.0, "New connections per second; more are answered 503 with Retry-After; 0 sets no limit.", least=0
    )
    admission_burst: int = setting(1000, "New connections at once before `admission_rate` counts.", least=1)
    reconnect_rate: float = setting(
        0.5,
        "New connections of one charge point from one address per second, behind its `reconnect_burst`; more are "
        "answered 429 with Retry-After; 0 sets no limit.",
        least=0,
    )
    reconnect_burst: int = setting(
        100,
        "New connections of one charge point from one address at once before `reconnect_rate` counts.",
        least=1,
    )
    address_rate: float = setting(
        500.0,
        "Handshakes from one address per second, good or bad, behind its `address_burst`; more are answered 429, or "
        "closed under TLS. A proxy is one address for all behind it unless `proxy` says otherwise; an IPv6 network of "
        "64 bits is one address. 0 sets no limit.",
        least=0,
    )
    address_burst: int = setting(
        10_000, "Handshakes from one address at once before `address_rate` counts.", least=1
    )
    connections_per_address: int = setting(
        20_000,
        "Connections from one address open at a time, handshakes included; more are answered 429, or closed under TLS. "
        "0 sets no limit.",
        least=0,
    )
    close_spread_s: float = setting(
        3.0, "Seconds over which the sockets are closed at stop, so that not all come back at once.", least=0
    )
    recorder_bytes: int = setting(
        8192, "Size of a charge point's flight recorder in bytes; 0 records nothing.", least=0
    )
    effect_timeout_s: float = setting(
        300.0, "Default seconds to wait for the effect of a command after its final state.", above=0
    )
    tickets_kept: int = setting(
        10_000,
        "Commands whose tickets are kept, some 0.8 KiB each; for a further one the oldest that has ended is forgotten. "
        "A node that is asked again to send a command knows by its ticket that it has done so.",
        least=500,
    )
    clock_tolerance_s: float = setting(
        600.0,
        "Seconds by which a charge point's clock may be slow. Of several commands with its tag, a StartTransaction is "
        "rather the effect of one that it is not older than.",
        least=0,
    )
    max_connections: int = setting(0, "Connections served at once; 0 sets no limit.", least=0)
    handshake_timeout_s: float = setting(10.0, "Seconds that a client has to finish its handshake.", above=0)
    silent_handshakes: int = setting(
        2000,
        "Connections to wss that may be there and have sent nothing yet; for a further one the oldest is closed; "
        "0 sets no limit.",
        least=0,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CaSettings(Section):
    """The certificate authority, which signs the certificates of charge points."""

    folder: str = setting(
        "", "Folder of the authority that `chargehand ca init` has made; empty for none.", sample='"./ca"'
    )
    passphrase: str = setting("", "The passphrase of its keys.", secret=True)
    passphrase_file: str = setting("", "File with the passphrase of its keys, in place of `passphrase`.")
    lifetime_days: float = setting(365.0, "Days for which a certificate is valid.", above=0, most=7300)
    renew_before_days: float = setting(
        30.0,
        "Days before its certificate runs out in which a charge point is asked to renew it, once a day; 0 never asks.",
        least=0,
        most=7300,
    )
    certificates_per_day: int = setting(
        5, "Certificates that one charge point gets in 24 hours; 0 sets no limit.", least=0
    )
    crl_days: float = setting(
        30.0,
        "Days for which the revocation list is valid; it is written again after a tenth of them.",
        least=1,
        most=7300,
    )
    keep_expired_days: float = setting(
        365.0,
        "Days for which the record of a certificate is kept after it has run out.",
        least=0,
        most=36500,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkSettings(Section):
    """Bulk commands: one command to many charge points."""

    at_once: int = setting(
        50, "Charge points of a bulk command that are at it at once, unless it says otherwise.", least=1
    )
    results: int = setting(
        10_000, "Results of a bulk command that are kept; the oldest ones are dropped, and counted.", least=1
    )
    kept: int = setting(
        20,
        "Bulk commands that are kept: the oldest ended one is forgotten for a further one, which is refused while all "
        "of them run.",
        least=1,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlineSettings(Section):
    """Deadlines: the time a plugin has before the fallback answers."""

    default_s: float = setting(10.0, "Seconds that a handler has to answer a call.", above=0)
    actions: Mapping[str, float] = made(
        dict,
        "Action name to seconds, where one needs another deadline.",
        above=0,
        sample="{Authorize = 5.0}",
    )
    events_s: float = setting(
        0.0,
        "Seconds that a handler has for an event (online, offline, outcome), and a shadow for a call; "
        "0 means as in `default_s`.",
        least=0,
    )
    fallback_id_tag_status: TagStatus = setting(
        "Accepted",
        "Verdict for the id tag when a fallback acknowledges a StartTransaction: the car is charging already.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BackOfficeSettings(Section):
    """The bundled plugin that answers calls that no other plugin claims."""

    enabled: bool = on("Run the back office; without it an unclaimed action is NotSupported.")
    heartbeat_interval_s: int = setting(300, "Seconds between heartbeats, given out at boot.", least=0)
    heartbeat_spread: float = setting(
        0.1,
        "Part of the heartbeat interval by which it is shortened at random, so that not all come at once.",
        least=0,
        most=0.5,
    )
    accept_all_tags: bool = on("Accept every id tag that is not in `tags`.")
    tags: Mapping[str, TagSettings] = made(
        dict,
        "Id tag to its status, or to a table of status, expiry, parent, id_type, language and message.",
        short="status",
        sample='{T1 = "Blocked", T2 = {expiry = 2030-01-01T00:00:00Z, parent = "FLEET"}}',
    )
    master_pass_group: str = setting(
        "",
        "The group of master passes (MasterPassGroupId of the stations, OCPP 2.0.1, C16): tags with this parent may "
        "stop every transaction and start none. Empty for none.",
    )
    concurrent_transactions: bool = on(
        "Let an id tag have several transactions at once; without it the next one is ConcurrentTx."
    )
    suspect_energy_wh: int = setting(
        1_000_000, "Energy of one transaction in Wh over which it is flagged.", least=1
    )
    suspect_power_w: float = setting(
        1_000_000.0,
        "Power in W that no charger has: a register that rises faster is a finding of its transaction.",
        above=0,
    )
    suspect_difference_wh: float = setting(
        100.0,
        "Difference in Wh between claimed energy and readings that is no finding, beside 1 % of it.",
        least=0,
    )
    suspect_clock_ahead_s: float = setting(
        300.0,
        "Seconds that a charge point's time may be after our time of receipt before it is a finding.",
        least=0,
    )
    suspect_clock_behind_s: float = setting(
        31_536_000.0,
        "Seconds that a charge point's time may be before our time of receipt before it is a finding.",
        least=0,
    )
    stop_tolerance_s: float = setting(
        600.0,
        "Seconds that a stop which names no known transaction may be before the start that it fits, by its own clock.",
        least=0,
    )
    registration: Literal["Accepted", "Pending", "Rejected"] = setting(
        "Accepted", "The answer to BootNotification."
    )
    local_list_limit: int = setting(
        100,
        "Tags that one SendLocalList carries when the local list is brought in step: SendLocalListMaxLength.",
        least=1,
    )
