"""Verbs about a station itself: its monitors, its displays, its ways to central systems, its customers.

The one rule: numbers of monitors belong to the station, numbers of messages are ours.
"""

from decimal import Decimal

from .. import verbs
from ..actions import Request
from ..verbs import VerbFacts
from . import diagnostics, display_messages, provisioning
from .configuration import variable_of
from .types import ComponentVariable, MessageContent, MessageFormat
from .verb_parts import refuse, token, transaction, word


def set_monitor(verb: verbs.SetMonitor, _: VerbFacts) -> Request[diagnostics.SetVariableMonitoringResponse]:
    """Have a variable monitored."""
    if not 0 <= verb.severity <= LEAST_SEVERE:
        refuse(f"a severity is from 0 to {LEAST_SEVERE}, not {verb.severity}")
    kind = word(diagnostics.MonitorType, verb.kind, "a kind of monitor")
    if kind is None:
        refuse("a monitor has a kind")
    component, variable = variable_of(verb.variable)
    data = diagnostics.SetMonitoringData(
        id=verb.monitor_id,
        transaction=True if verb.transaction_only else None,
        value=Decimal(str(verb.value)),
        type=kind,
        severity=verb.severity,
        component=component,
        variable=variable,
    )
    return diagnostics.SetVariableMonitoring(set_monitoring_data=(data,))


LEAST_SEVERE = 9
"""Severity of events for debugging; 0 is danger."""


def clear_monitors(
    verb: verbs.ClearMonitors, _: VerbFacts
) -> Request[diagnostics.ClearVariableMonitoringResponse]:
    """Clear monitors."""
    if not verb.monitor_ids:
        refuse("monitors are cleared by their numbers: name one")
    return diagnostics.ClearVariableMonitoring(id=verb.monitor_ids)


def get_monitors(
    verb: verbs.GetMonitors, facts: VerbFacts
) -> Request[diagnostics.GetMonitoringReportResponse]:
    """Ask for monitors."""
    named = map(variable_of, verb.variables)
    places = tuple(ComponentVariable(component=owner, variable=variable) for owner, variable in named)
    return diagnostics.GetMonitoringReport(component_variable=places or None, request_id=facts.request_id)


def set_display_message(
    verb: verbs.SetDisplayMessage, _: VerbFacts
) -> Request[display_messages.SetDisplayMessageResponse]:
    """Show a message."""
    if verb.message_id is None:
        refuse("a message has a number")
    content = MessageContent(
        format=word(MessageFormat, verb.text_format, "a format") or MessageFormat.UTF8,
        language=verb.language or None,
        content=verb.text,
    )
    priority = word(display_messages.MessagePriority, verb.priority, "a priority")
    message = display_messages.MessageInfo(
        id=verb.message_id,
        priority=priority or display_messages.MessagePriority.NORMAL_CYCLE,
        state=word(display_messages.MessageState, verb.state, "a state"),
        start_date_time=verb.start_at,
        end_date_time=verb.end_at,
        transaction_id=None if verb.transaction_id is None else transaction(verb.transaction_id),
        message=content,
    )
    return display_messages.SetDisplayMessage(message=message)


def get_display_messages(
    _: verbs.GetDisplayMessages, facts: VerbFacts
) -> Request[display_messages.GetDisplayMessagesResponse]:
    """Ask for messages."""
    return display_messages.GetDisplayMessages(request_id=facts.request_id)


def clear_display_message(
    verb: verbs.ClearDisplayMessage, _: VerbFacts
) -> Request[display_messages.ClearDisplayMessageResponse]:
    """Take a message off."""
    return display_messages.ClearDisplayMessage(id=verb.message_id)


def set_network_profile(
    verb: verbs.SetNetworkProfile, _: VerbFacts
) -> Request[provisioning.SetNetworkProfileResponse]:
    """Store a network profile."""
    interface = word(provisioning.OCPPInterface, verb.interface, "an interface")
    if interface is None:
        refuse("a network profile has an interface")
    if verb.security_profile not in SECURITY_PROFILES:
        refuse(f"a security profile is 1, 2 or 3, not {verb.security_profile}")
    # OCPP20 stands for 2.0.1, too.
    profile = provisioning.NetworkConnectionProfile(
        ocpp_version=provisioning.OCPPVersion.OCPP20,
        ocpp_transport=provisioning.OCPPTransport.JSON,
        ocpp_csms_url=verb.csms_url,
        message_timeout=verb.message_timeout_s,
        security_profile=verb.security_profile,
        ocpp_interface=interface,
    )
    return provisioning.SetNetworkProfile(configuration_slot=verb.slot, connection_data=profile)


SECURITY_PROFILES = (1, 2, 3)


def customer_information(
    verb: verbs.CustomerInformation, facts: VerbFacts
) -> Request[diagnostics.CustomerInformationResponse]:
    """Ask about a customer."""
    if bool(verb.id_tag) == bool(verb.customer_identifier):
        refuse("a customer is named by an id tag, or by a customer identifier")
    if not verb.report and not verb.clear:
        refuse("what is known of a customer is reported, cleared, or both: say which")
    return diagnostics.CustomerInformation(
        id_token=token(verb.id_tag, verb.id_type) if verb.id_tag else None,
        customer_identifier=verb.customer_identifier or None,
        request_id=facts.request_id,
        report=verb.report,
        clear=verb.clear,
    )
