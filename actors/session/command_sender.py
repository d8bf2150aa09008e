"""Sending of commands: the one interface that the system, plugins and remote clients have alike.

`send` takes a request of one version of OCPP, a command that was prepared from JSON, or a verb of no version; each
verb has a method of its own beside it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Protocol, TypedDict, TypeVar, overload

import msgspec

from ...config.errors import ChargehandError
from ...protocol import verbs

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable
    from typing import Unpack

    from ...protocol.actions import Request
    from ...protocol.message import Message
    from .commands import PreparedCommand
    from .tickets import Ticket

R = TypeVar("R", bound="Message")


class BulkNotAvailable(ChargehandError, RuntimeError):
    """Error: a sender has no bulk commands, as that of a shadow, of a plugin host, or of a remote client."""


class SendOptions(TypedDict, total=False):
    """Options of `send` and of every verb."""

    timeout_s: float | None
    when_offline: str
    expires_in_s: float | None
    until_effect: bool
    effect_timeout_s: float | None


class ChargingTransaction(Protocol):
    """Transaction as a verb needs it: the record of the store fulfils it."""

    @property
    def id(self) -> int:
        """Number of the transaction."""

    @property
    def charge_point_id(self) -> str:
        """Charge point of the transaction."""

    @property
    def connector_id(self) -> int:
        """Connector, or EVSE, of the transaction."""


class CommandSender(ABC):
    """Base of what sends commands. A subclass has `_send`, and `find_transaction` where it can look one up."""

    @overload
    def send(
        self, charge_point: str, request: Request[R] | PreparedCommand[R], **options: Unpack[SendOptions]
    ) -> Ticket[R]: ...

    @overload
    def send(self, charge_point: str, request: verbs.Verb, **options: Unpack[SendOptions]) -> Ticket[Any]: ...

    def send(self, charge_point: str, request: Any, **options: Unpack[SendOptions]) -> Ticket[Any]:
        """Send a request, a prepared command or a verb, and return its ticket. Never blocks.

        `timeout_s` is for the answer once it is sent (default: `sessions.command_timeout_s`); what has not been sent
        `expires_in_s` from now (default: `sessions.command_expires_s`) never is. With `when_offline="queue"` it waits
        for a charge point that is away. With `until_effect` the ticket is waited for until what was asked for has shown
        itself (`ticket.effect`), a RemoteStartTransaction with its StartTransaction for example, or `effect_timeout_s`
        after its final state. Raises `InvalidPayload` for a request that breaks its contract, `NotACommand` for one
        that a central system does not send, ValueError for a time that is not above 0, LookupError for what is no
        request of a version that the system speaks, `VerbRefused` for a verb that the version has no message for.
        OCPP 1.6, section 5.
        """
        return self._send(charge_point, request, **options)

    @abstractmethod
    def _send(self, charge_point: str, request: Any, **options: Unpack[SendOptions]) -> Ticket[Any]:
        """Send as `send` describes."""

    def send_many(
        self,
        charge_points: Any,  # noqa: ARG002 - for those that have it
        request: Any,  # noqa: ARG002
        *,
        at_most_at_once: int | None = None,  # noqa: ARG002
        **options: Unpack[SendOptions],  # noqa: ARG002
    ) -> Any:
        """Send to many charge points, as `CentralSystem.send_many` does. Raises `BulkNotAvailable` where none can."""
        raise BulkNotAvailable(
            "bulk commands are made in a node: use its send_many, its HTTP API or its command line"
        )

    def find_transaction(self, transaction_id: int) -> ChargingTransaction:
        """Find a transaction by its number; may switch greenlets. Raises LookupError if there is none."""
        raise LookupError(f"transactions cannot be looked up here: pass the record of {transaction_id}")

    # -- Verbs -------------------------------------------------------------------------------------

    def start_charging(
        self,
        charge_point: str,
        id_tag: str,
        *,
        evse: int | None = None,
        connector: int | None = None,
        id_type: str = "",
        **options: Unpack[SendOptions],
    ) -> Ticket[Any]:
        """Start a transaction for an id tag, of this kind in versions that have kinds, on any EVSE or on this one."""
        verb = verbs.StartCharging(id_tag=id_tag, evse=evse, connector=connector, id_type=id_type)
        return self.send(charge_point, verb, **options)

    def stop_charging(
        self, transaction: ChargingTransaction | int, **options: Unpack[SendOptions]
    ) -> Ticket[Any]:
        """Stop a transaction, given as its record or by its number. Raises LookupError for an unknown number."""
        found = self._record_of(transaction)
        return self.send(found.charge_point_id, verbs.StopCharging(transaction_id=found.id), **options)

    def unlock(
        self,
        charge_point: str,
        *,
        evse: int = 1,
        connector: int | None = None,
        **options: Unpack[SendOptions],
    ) -> Ticket[Any]:
        """Unlock the cable of a connector."""
        return self.send(charge_point, verbs.Unlock(evse=evse, connector=connector), **options)

    def set_availability(
        self,
        charge_point: str,
        available: bool,  # noqa: FBT001 - it reads as a sentence
        *,
        evse: int | None = None,
        connector: int | None = None,
        **options: Unpack[SendOptions],
    ) -> Ticket[Any]:
        """Take a charge point, one EVSE or one connector in (true) or out of operation."""
        verb = verbs.SetAvailability(available=available, evse=evse, connector=connector)
        return self.send(charge_point, verb, **options)

    def reset(
        self,
        charge_point: str,
        *,
        at_once: bool = False,
        evse: int | None = None,
        **options: Unpack[SendOptions],
    ) -> Ticket[Any]:
        """Restart a charge point: when its transactions have been ended properly, or at once."""
        return self.send(charge_point, verbs.Reset(at_once=at_once, evse=evse), **options)

    def limit(
        self,
        charge_point: str,
        *,
        watts: float | None = None,
        amps: float | None = None,
        evse: int | None = None,
        transaction: ChargingTransaction | int | None = None,
        phases: int | None = None,
        **options: Unpack[SendOptions],
    ) -> Ticket[Any]:
        """Limit the power (watts in all) or the current (amps a phase) of a charge point.

        Nothing named, of the whole charge point; with `evse`, of every further transaction there; with `transaction`,
        of that one. The unit is one that the charge point takes, as far as its configuration is known; conversion needs
        the number of `phases`.
        """
        transaction_id, evse = self._scope(charge_point, transaction, evse)
        verb = verbs.Limit(watts=watts, amps=amps, evse=evse, transaction_id=transaction_id, phases=phases)
        return self.send(charge_point, verb, **options)

    def clear_limit(
        self,
        charge_point: str,
        *,
        evse: int | None = None,
        transaction: ChargingTransaction | int | None = None,
        **options: Unpack[SendOptions],
    ) -> Ticket[Any]:
        """Take back the limit that `limit` has set with the same scope; other charging profiles stay."""
        transaction_id, evse = self._scope(charge_point, transaction, evse)
        return self.send(charge_point, verbs.ClearLimit(evse=evse, transaction_id=transaction_id), **options)

    def composite_schedule(
        self,
        charge_point: str,
        *,
        duration_s: int = 86_400,
        evse: int = 0,
        unit: str = "",
        **options: Unpack[SendOptions],
    ) -> Ticket[Any]:
        """Ask for the limits that hold at an EVSE, or of the whole charge point, from now on; `unit` is W or A."""
        verb = verbs.CompositeSchedule(duration_s=duration_s, evse=evse, unit=unit)
        return self.send(charge_point, verb, **options)

    def get_charging_profiles(
        self,
        charge_point: str,
        *,
        evse: int | None = None,
        purpose: str = "",
        **options: Unpack[SendOptions],
    ) -> Ticket[Any]:
        """Have charging profiles reported, those of an EVSE or of a purpose, or all; what is stored is corrected."""
        return self.send(charge_point, verbs.GetChargingProfiles(evse=evse, purpose=purpose), **options)

    def trigger(
        self,
        charge_point: str,
        message: str,
        *,
        evse: int | None = None,
        connector: int | None = None,
        **options: Unpack[SendOptions],
    ) -> Ticket[Any]:
        """Have a charge point send a message now, such as "StatusNotification"."""
        verb = verbs.Trigger(message=message, evse=evse, connector=connector)
        return self.send(charge_point, verb, **options)

    def get_configuration(
        self, charge_point: str, keys: Iterable[str] = (), **options: Unpack[SendOptions]
    ) -> Ticket[Any]:
        """Ask a charge point for these configuration keys, or for all."""
        return self.send(charge_point, verbs.GetConfiguration(keys=tuple(keys)), **options)

    def set_configuration(
        self, charge_point: str, key: str, value: str, **options: Unpack[SendOptions]
    ) -> Ticket[Any]:
        """Set a configuration key of a charge point."""
        return self.send(charge_point, verbs.SetConfiguration(key=key, value=value), **options)

    def update_firmware(
        self,
        charge_point: str,
        location: str,
        *,
        retrieve_at: dt.datetime | None = None,
        install_at: dt.datetime | None = None,
        retries: int | None = None,
        retry_interval_s: int | None = None,
        signing_certificate: str = "",
        signature: str = "",
        **options: Unpack[SendOptions],
    ) -> Ticket[Any]:
        """Have firmware fetched and installed; signed, if it has a signature and a certificate."""
        verb = verbs.UpdateFirmware(
            location=location,
            retrieve_at=retrieve_at,
            install_at=install_at,
            retries=retries,
            retry_interval_s=retry_interval_s,
            signing_certificate=signing_certificate,
            signature=signature,
        )
        return self.send(charge_point, verb, **options)

    def publish_firmware(
        self,
        charge_point: str,
        location: str,
        checksum: str,
        *,
        retries: int | None = None,
        retry_interval_s: int | None = None,
        **options: Unpack[SendOptions],
    ) -> Ticket[Any]:
        """Have firmware fetched and published on the local network; `checksum` is MD5, in hexadecimal digits."""
        verb = verbs.PublishFirmware(
            location=location, checksum=checksum, retries=retries, retry_interval_s=retry_interval_s
        )
        return self.send(charge_point, verb, **options)

    def unpublish_firmware(
        self, charge_point: str, checksum: str, **options: Unpack[SendOptions]
    ) -> Ticket[Any]:
        """Take back firmware that was published on the local network."""
        return self.send(charge_point, verbs.UnpublishFirmware(checksum=checksum), **options)

    def get_logs(
        self,
        charge_point: str,
        location: str,
        *,
        kind: str = "diagnostics",
        since: dt.datetime | None = None,
        until: dt.datetime | None = None,
        retries: int | None = None,
        retry_interval_s: int | None = None,
        **options: Unpack[SendOptions],
    ) -> Ticket[Any]:
        """Have a log ("diagnostics" or "security") uploaded to a location."""
        verb = verbs.GetLogs(
            location=location,
            kind=kind,
            since=since,
            until=until,
            retries=retries,
            retry_interval_s=retry_interval_s,
        )
        return self.send(charge_point, verb, **options)

    def reserve(
        self,
        charge_point: str,
        id_tag: str,
        until: dt.datetime,
        *,
        evse: int | None = None,
        parent_id_tag: str = "",
        reservation_id: int | None = None,
        id_type: str = "",
        connector_type: str = "",
        **options: Unpack[SendOptions],
    ) -> Ticket[Any]:
        """Reserve a charge point, an EVSE or a type of connector for an id tag.

        A number is drawn for the reservation if none is given.
        """
        verb = verbs.Reserve(
            id_tag=id_tag,
            until=until,
            reservation_id=reservation_id,
            evse=evse,
            parent_id_tag=parent_id_tag,
            id_type=id_type,
            connector_type=connector_type,
        )
        return self.send(charge_point, verb, **options)

    def cancel_reservation(
        self, charge_point: str, reservation_id: int, **options: Unpack[SendOptions]
    ) -> Ticket[Any]:
        """Cancel a reservation."""
        return self.send(charge_point, verbs.CancelReservation(reservation_id=reservation_id), **options)

    def sync_local_list(
        self, charge_point: str, *, full: bool = False, **options: Unpack[SendOptions]
    ) -> Ticket[Any]:
        """Bring the local list of a charge point in step with the tags: by what has changed, or as a whole.

        The ticket is that of the first message; further ones follow by themselves if it is accepted.
        """
        return self.send(charge_point, verbs.SyncLocalList(full=full), **options)

    def rotate_key(self, charge_point: str, key: str = "", **options: Unpack[SendOptions]) -> Ticket[Any]:
        """Give a charge point a new key for its connections; one is drawn if none is given.

        The key before counts, too, until the charge point has come back with the new one. A key is 32 to 40 hexadecimal
        digits in OCPP 1.6, and a text of 16 to 40 characters in 2.0.1.
        """
        return self.send(charge_point, verbs.RotateKey(key=key), **options)

    def install_certificate(
        self,
        charge_point: str,
        certificate: str,
        *,
        use: str = "central_system",
        **options: Unpack[SendOptions],
    ) -> Ticket[Any]:
        """Install a root certificate (PEM), by which a charge point checks others.

        `use` is "central_system" or "manufacturer"; in OCPP 2.0.1 also "v2g" or "mobility_operator".
        """
        return self.send(charge_point, verbs.InstallCertificate(certificate=certificate, use=use), **options)

    def get_installed_certificates(
        self, charge_point: str, uses: Iterable[str] = (), **options: Unpack[SendOptions]
    ) -> Ticket[Any]:
        """Ask which certificates are installed for these uses, or (OCPP 2.0.1) for all; OCPP 1.6 takes one use."""
        return self.send(charge_point, verbs.GetInstalledCertificates(uses=tuple(uses)), **options)

    def delete_certificate(
        self,
        charge_point: str,
        serial_number: str,
        *,
        issuer_name_hash: str,
        issuer_key_hash: str,
        hash_algorithm: str = "SHA256",
        **options: Unpack[SendOptions],
    ) -> Ticket[Any]:
        """Delete an installed certificate, named as `get_installed_certificates` names it."""
        verb = verbs.DeleteCertificate(
            serial_number=serial_number,
            issuer_name_hash=issuer_name_hash,
            issuer_key_hash=issuer_key_hash,
            hash_algorithm=hash_algorithm,
        )
        return self.send(charge_point, verb, **options)

    def send_certificate(
        self,
        charge_point: str,
        certificate_chain: str,
        *,
        use: str = "charging_station",
        **options: Unpack[SendOptions],
    ) -> Ticket[Any]:
        """Give a charge point the certificate that was signed for it, behind it those above it (PEM).

        `use` is "charging_station"; in OCPP 2.0.1 also "v2g", or "combined" if none was asked for.
        """
        return self.send(
            charge_point, verbs.SendCertificate(certificate_chain=certificate_chain, use=use), **options
        )

    def renew_certificate(
        self, charge_point: str, *, use: str = "charging_station", **options: Unpack[SendOptions]
    ) -> Ticket[Any]:
        """Have a charge point ask for a new certificate; its SignCertificate is the effect.

        `use` is "charging_station"; in OCPP 2.0.1 also "v2g" or "combined".
        """
        return self.send(charge_point, verbs.RenewCertificate(use=use), **options)

    def set_monitor(
        self,
        charge_point: str,
        variable: str,
        kind: str,
        value: float,
        *,
        severity: int = 5,
        transaction_only: bool = False,
        monitor_id: int | None = None,
        **options: Unpack[SendOptions],
    ) -> Ticket[Any]:
        """Have a variable monitored, such as "1/1/Connector.Temperature"; `kind` is one of OCPP's words.

        The answer has the number that the charge point gave the monitor; `monitor_id` changes one that exists.
        """
        verb = verbs.SetMonitor(
            variable=variable,
            kind=kind,
            value=value,
            severity=severity,
            transaction_only=transaction_only,
            monitor_id=monitor_id,
        )
        return self.send(charge_point, verb, **options)

    def clear_monitors(
        self, charge_point: str, monitor_ids: Iterable[int], **options: Unpack[SendOptions]
    ) -> Ticket[Any]:
        """Clear monitors by their numbers; the answer says of each whether it is cleared."""
        return self.send(charge_point, verbs.ClearMonitors(monitor_ids=tuple(monitor_ids)), **options)

    def get_monitors(
        self, charge_point: str, variables: Iterable[str] = (), **options: Unpack[SendOptions]
    ) -> Ticket[Any]:
        """Have the monitors of these variables reported, or all; what is stored is corrected by the report."""
        return self.send(charge_point, verbs.GetMonitors(variables=tuple(variables)), **options)

    def set_display_message(
        self,
        charge_point: str,
        text: str,
        *,
        message_id: int | None = None,
        priority: str = "NormalCycle",
        state: str = "",
        text_format: str = "UTF8",
        language: str = "",
        start_at: dt.datetime | None = None,
        end_at: dt.datetime | None = None,
        transaction: ChargingTransaction | int | None = None,
        **options: Unpack[SendOptions],
    ) -> Ticket[Any]:
        """Show a message on the displays, with a number that is drawn if none is given."""
        transaction_id, _ = self._scope(charge_point, transaction, None)
        verb = verbs.SetDisplayMessage(
            text=text,
            message_id=message_id,
            priority=priority,
            state=state,
            text_format=text_format,
            language=language,
            start_at=start_at,
            end_at=end_at,
            transaction_id=transaction_id,
        )
        return self.send(charge_point, verb, **options)

    def get_display_messages(self, charge_point: str, **options: Unpack[SendOptions]) -> Ticket[Any]:
        """Have the messages of the displays reported; what is stored is corrected by the report."""
        return self.send(charge_point, verbs.GetDisplayMessages(), **options)

    def clear_display_message(
        self, charge_point: str, message_id: int, **options: Unpack[SendOptions]
    ) -> Ticket[Any]:
        """Take a message off the displays."""
        return self.send(charge_point, verbs.ClearDisplayMessage(message_id=message_id), **options)

    def set_network_profile(
        self,
        charge_point: str,
        slot: int,
        csms_url: str,
        *,
        security_profile: int,
        interface: str = "Wired0",
        message_timeout_s: int = 30,
        **options: Unpack[SendOptions],
    ) -> Ticket[Any]:
        """Store a way to a central system in a slot; the charge point's configuration puts it to use."""
        verb = verbs.SetNetworkProfile(
            slot=slot,
            csms_url=csms_url,
            security_profile=security_profile,
            interface=interface,
            message_timeout_s=message_timeout_s,
        )
        return self.send(charge_point, verb, **options)

    def customer_information(
        self,
        charge_point: str,
        *,
        id_tag: str = "",
        id_type: str = "",
        customer_identifier: str = "",
        report: bool = False,
        clear: bool = False,
        **options: Unpack[SendOptions],
    ) -> Ticket[Any]:
        """Have what a charge point knows of a customer reported, cleared, or both."""
        verb = verbs.CustomerInformation(
            id_tag=id_tag,
            id_type=id_type,
            customer_identifier=customer_identifier,
            report=report,
            clear=clear,
        )
        return self.send(charge_point, verb, **options)

    def addressed(self, charge_point: str, verb: verbs.Verb) -> verbs.Verb:
        """Look up the transaction that a verb names by its number, and return the verb with its EVSE.

        May switch greenlets. Raises LookupError for an unknown number, `VerbRefused` for a transaction of another
        charge point.
        """
        number: int | str | None = getattr(verb, "transaction_id", None)
        if not isinstance(number, int):
            return verb
        _, evse = self._scope(charge_point, number, getattr(verb, "evse", None))
        if isinstance(verb, verbs.Limit | verbs.ClearLimit):
            return msgspec.structs.replace(verb, evse=evse)
        return verb

    def _record_of(self, transaction: ChargingTransaction | int) -> ChargingTransaction:
        return self.find_transaction(transaction) if isinstance(transaction, int) else transaction

    def _scope(
        self, charge_point: str, transaction: ChargingTransaction | int | None, evse: int | None
    ) -> tuple[int | None, int | None]:
        if transaction is None:
            return None, evse
        found = self._record_of(transaction)
        if found.charge_point_id != charge_point:
            raise verbs.VerbRefused(
                f"transaction {found.id} is of {found.charge_point_id}, not of {charge_point}"
            )
        return found.id, evse or found.connector_id
