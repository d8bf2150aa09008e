"""Names are the same in Python, over HTTP and on the command line.

The members of the views, which are the shapes of HTTP and of `--json`, are
compared with the fields of the Python objects that they show; so are the columns of exports and the descriptions of
OpenAPI. The one rule of translation: JSON names another thing by its id under the thing's own name (`charge_point`),
where Python has the thing there and the id beside it (`charge_point_id`).
"""

import inspect
import re
from typing import Any

import click
import msgspec
import pytest

import chargehand
from chargehand.actors.session.charge_point import ChargePoint
from chargehand.cli import charge_points, tickets, transactions
from chargehand.cli.main import main
from chargehand.protocol.actions import BootFacts
from chargehand.protocol.device_model import VariableAccess, VariableCharacteristics
from chargehand.protocol.events import DomainEvent, TransactionUpdated
from chargehand.protocol.verbs import VERBS
from chargehand.simulator import ChargePoint as SimulatedChargePoint
from chargehand.simulator.transactions import Transaction as SimulatedTransaction
from chargehand.simulator.v201.transactions import StationTransaction
from chargehand.store.events import EVENTS
from chargehand.store.records import Applicant, SecurityProfile
from chargehand.system import charge_point_list
from chargehand.system.charge_point_list import ChargePointRow
from chargehand.system.local_lists import LocalListUpdate
from chargehand.web import (
    accepted_state,
    applicants,
    charge_point_views,
    event_views,
    keys,
    reports,
    station_settings,
    tags,
    ticket_views,
    transaction_views,
    variables,
)
from chargehand.web.openapi import describe

BY_ID = {"charge_point", "ticket", "bulk"}
"""Things that JSON names by their id, under their own name."""

SHOWN: list[tuple[type[msgspec.Struct], tuple[type, ...], set[str]]] = [
    # The view, the Python classes that have what it shows, and the keys that only JSON has.
    # `node` and `worker` say where it is connected, `flags` what is odd, and `since` is the time of a status.
    (
        ChargePointRow,
        (ChargePoint, BootFacts, TransactionUpdated),
        {"connectors", "flags", "heard_at", "node", "worker"},
    ),
    # `statuses` are the connectors in words of ours, `open_tickets` those of the system.
    (
        charge_point_views.ChargePointView,
        (ChargePoint, SecurityProfile),
        {
            "statuses",
            "open_tickets",
            "has_password",
            "new_key_since",
            "security_profile",
            "new_security_profile",
        },
    ),
    # What cannot be true about its times depends on settings.
    (transaction_views.TransactionView, (chargehand.Transaction, chargehand.Cost), {"doubtful_times"}),
    (transaction_views.CostView, (chargehand.Cost,), set()),
    (transaction_views.CostPartView, (chargehand.CostPart,), set()),
    (transaction_views.StopFiguresView, (chargehand.StopFigures,), set()),
    (transaction_views.MeterReadingView, (chargehand.MeterReading,), set()),
    (event_views.StoredEvent, (chargehand.Event,), set()),
    (transaction_views.SpooledView, (chargehand.Spooled,), set()),
    (ticket_views.Outcome, (chargehand.Ticket,), {"error"}),  # code, reason and details of a CALLERROR
    (ticket_views.TicketView, (chargehand.Ticket,), {"error"}),
    (ticket_views.BulkView, (chargehand.Bulk, chargehand.BulkProgress), set()),
    (ticket_views.BulkResultView, (chargehand.BulkResult,), set()),
    (tags.TagView, (chargehand.Tag,), set()),
    (accepted_state.ReservationView, (chargehand.Reservation,), set()),
    (accepted_state.ChargingProfileView, (chargehand.ChargingProfile,), set()),
    (accepted_state.LocalListView, (chargehand.LocalList,), set()),
    (station_settings.MonitorView, (chargehand.Monitor,), set()),
    (station_settings.DisplayMessageView, (chargehand.DisplayMessage,), set()),
    (station_settings.NetworkProfileView, (chargehand.NetworkProfile,), set()),
    (accepted_state.LocalListUpdateView, (LocalListUpdate,), set()),
    (applicants.ApplicantView, (Applicant, ChargePoint), set()),
    (keys.KeyView, (chargehand.Credential,), {"new_key_since"}),  # the time of the one behind it
    (reports.ReportView, (chargehand.Report,), set()),
    (reports.ReportPartView, (chargehand.ReportPart,), set()),
    (
        variables.VariableView,
        (chargehand.StoredVariable, chargehand.VariableName, VariableAccess, VariableCharacteristics),
        {"monitor_ids"},  # monitors are records of their own
    ),
]

TWO_SPELLINGS = {
    "connector": "`connector_id` is the number in OCPP 1.6, `connector` that of one of an `evse`, in every version",
    "message": "`message_id` is that of a DataTransfer, `message` a text to the driver",
    "request": "`request_id` is the number that OCPP gives an upload or an update, `request` a message",
    "vendor": "`vendor_id` is that of a DataTransfer, `vendor` the maker of a charge point",
    "evse": "`evse_id` is the station's own number in OCPP 2.0.1, `evse` also stands for a connector of 1.6",
    "reservation": "`reservation` is what verbs take, and no view has it",
    "transaction": "`transaction` is the record, `transaction_id` its number, which verbs and the command line take",
}
"""Words that stand alone and with `_id` somewhere, and why."""

OTHER_NAMES = {
    "online": "connected",
    "offline": "connected",
    "cp": "charge_point",
    "cp_id": "charge_point_id",
    "station": "charge_point",
    "station_id": "charge_point_id",
    "charger": "charge_point",
    "charger_id": "charge_point_id",
    "identity": "id",
    "tx": "transaction",
    "tx_id": "transaction_id",
    "session_id": "transaction_id",
    "tag_id": "id_tag",
    "evse_number": "evse_id",
    "connector_number": "connector_id",
    "energy_kwh": "energy_wh",
    "ended": "stopped_at",
    "uid": "unique_id",
}
"""Names that some program gives to what has a name here."""

FORMER = {
    (ChargePoint, "online"),
    (SimulatedChargePoint, "online"),
    (chargehand.BulkProgress, "ended"),
    (chargehand.MeterReading, "identity"),
}
"""Older names that still work, and words that mean something else there."""


def fields_of(kind: type) -> set[str]:
    """Return the public fields and properties of a class."""
    found = set(getattr(kind, "__struct_fields__", ())) | set(getattr(kind, "_fields", ()))
    for base in kind.__mro__:
        slots = vars(base).get("__slots__", ())
        found |= {slots} if isinstance(slots, str) else set(slots)
        found |= set(vars(base).get("__annotations__", ()))
        found |= {name for name, value in vars(base).items() if isinstance(value, property)}
        if base is not object and "__init__" in vars(base):
            found |= set(re.findall(r"self\.([a-z]\w*)\b.*? = ", inspect.getsource(base)))
    return {name for name in found if not name.startswith("_")}


def keys_of(view: type[msgspec.Struct]) -> set[str]:
    """Return the members of a view."""
    return set(view.__struct_fields__)


def public_classes() -> dict[str, type]:
    return {
        name: value
        for name in chargehand.__all__
        if isinstance(value := getattr(chargehand, name), type)
        and not issubclass(value, BaseException)
        and not (issubclass(value, msgspec.Struct) and issubclass(value, chargehand.Message))
    }


def names_in_python() -> dict[str, set[str]]:
    found = {name: fields_of(kind) for name, kind in public_classes().items()}
    found |= {f"verb {name}": set(verb.__struct_fields__) for name, verb in VERBS.items()}
    found |= {name: fields_of(kind) for name, kind in EVENTS.items()}
    for kind in (chargehand.CentralSystem, chargehand.PluginSystem):
        methods = {
            name: value for name, value in inspect.getmembers(kind, inspect.isfunction) if name[0] != "_"
        }
        for name, method in methods.items():
            found[f"{kind.__name__}.{name}"] = set(inspect.signature(method).parameters) - {"self"}
    return found


def names_over_http() -> dict[str, set[str]]:
    found = {f"view {view.__name__}": keys_of(view) for view, _, _ in SHOWN}

    def walk(where: str, schema: Any) -> None:
        if isinstance(schema, dict):
            if isinstance(schema.get("properties"), dict):
                found.setdefault(where, set()).update(schema["properties"])
            if schema.get("in") in ("query", "path") and isinstance(schema.get("name"), str):
                found.setdefault(where, set()).add(schema["name"])
            for value in schema.values():
                walk(where, value)
        elif isinstance(schema, list):
            for value in schema:
                walk(where, value)

    described = describe()
    for path, methods in described["paths"].items():
        # Payloads of OCPP have the names of the wire.
        walk(f"openapi {path}", methods if "/commands/" not in path else {})
    return found


def names_on_the_command_line() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {
        "charge-points export": set(charge_points.EXPORTED) | set(charge_points.FACTS),
        "tickets export": set(tickets.EXPORTED),
        "transactions export": set(transactions.EXPORTED) | set(transactions.DERIVED),
    }

    def walk(where: str, command: click.Command) -> None:
        found[where] = {parameter.name.rstrip("_") for parameter in command.params if parameter.name}
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                inner = command.get_command(context, name)
                assert inner is not None
                walk(f"{where} {name}", inner)

    walk("chargehand", main)
    return found


@pytest.mark.parametrize(("view", "kinds", "only_json"), SHOWN, ids=lambda one: getattr(one, "__name__", ""))
def test_the_keys_of_a_view_are_the_fields_of_what_it_shows(
    view: type[msgspec.Struct], kinds: tuple[type, ...], only_json: set[str]
) -> None:
    keys = keys_of(view)
    assert keys, "no keys are found in it"
    fields = {field for kind in kinds for field in fields_of(kind)}
    by_id = {key for key in keys & BY_ID if f"{key}_id" in fields or "id" in fields}
    assert keys - fields - by_id - only_json == set()


def test_every_event_has_the_same_members_in_a_stream_as_in_python() -> None:
    names = inspect.getsource(event_views.domain_event)
    translated = dict(re.findall(r'"(\w+)": "(\w+)"', names))
    assert {old: new for old, new in translated.items() if old != f"{new}_id" or new not in BY_ID} == {}
    ids = {
        name
        for kind in EVENTS.values()
        for name in kind.__struct_fields__
        if name.removesuffix("_id") in BY_ID
    }
    assert ids == set(translated)
    assert all(issubclass(kind, DomainEvent) for kind in EVENTS.values())


def test_what_is_exported_are_keys_of_the_views() -> None:
    shown = keys_of(transaction_views.WholeTransaction)
    assert set(transactions.EXPORTED) | set(transactions.DERIVED) <= shown
    assert set(charge_points.EXPORTED) == set(charge_point_list.FIELDS)
    assert set(tickets.EXPORTED) <= keys_of(ticket_views.TicketView)


def test_a_simulated_transaction_is_named_as_a_stored_one() -> None:
    for kind in (SimulatedTransaction, StationTransaction, chargehand.Transaction):
        assert {"transaction_id", "id"} <= fields_of(kind)


def test_no_concept_has_two_names() -> None:
    surfaces = [names_in_python(), names_over_http(), names_on_the_command_line()]
    assert all(len(names) > 20 for names in surfaces)
    former = {(kind.__name__, name) for kind, name in FORMER} | {("view BulkView", "ended")}
    wrong = {
        f"{where}: {name} is called {OTHER_NAMES[name]}"
        for names in surfaces
        for where, found in names.items()
        for name in found & OTHER_NAMES.keys()
        if (where, name) not in former
    }
    assert wrong == set()


def test_no_id_is_written_with_and_without_its_ending() -> None:
    for surface in (names_in_python(), names_over_http(), names_on_the_command_line()):
        found = set().union(*surface.values())
        twice = {name for name in found if f"{name}_id" in found}
        assert twice - TWO_SPELLINGS.keys() - BY_ID == set()


def test_no_name_has_an_is_before_it_or_a_capital_in_it() -> None:
    for surface in (names_in_python(), names_over_http(), names_on_the_command_line()):
        found = set().union(*surface.values())
        assert {
            name for name in found if name.removeprefix("is_") in found and name.startswith("is_")
        } == set()
        assert {name for name in found if name != name.lower()} == set()
