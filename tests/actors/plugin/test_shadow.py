"""A shadow plugin sees the calls of the one that answers; its own answers are compared, counted, and never sent."""

import gevent
import pytest
from gevent.event import Event

from chargehand import (
    BulkNotAvailable,
    ChargePointOffline,
    ChargePointOnline,
    InvalidPayload,
    OcppError,
    Plugin,
    on,
    on_outcome,
    passive,
    v16,
)
from chargehand.actors.plugin.cell import SHADOW_BACKLOG, PluginCell
from chargehand.testing import Stage

from ...hub import until
from ..messages_of_v16 import METER_VALUES, START

ACCEPTED = {"idTagInfo": {"status": "Accepted"}}
BLOCKED = {"idTagInfo": {"status": "Blocked"}}
TAG = {"idTag": "T1"}


class AnsweringPlugin(Plugin):
    """Answers with the object that it was made with; a callable is called."""

    def __init__(self, answer, seen):
        super().__init__()
        self.answer = answer
        self.seen = seen

    def give(self, call):
        self.seen.append(call)
        return self.answer(call) if callable(self.answer) else self.answer

    @passive("Authorize")
    def authorize(self, call):
        return self.give(call)

    @passive("MeterValues")
    def meter_values(self, call):
        return self.give(call)

    @passive("StartTransaction")
    def start_transaction(self, call):
        return self.give(call)


class ShadowPlugin(AnsweringPlugin):
    """Same plugin under another name."""


class ShadowHarness:
    """Stage with a plugin that answers and a shadow plugin."""

    def __init__(self, answer, shadow):
        self.seen, self.shadowed = [], []
        self.stage = Stage(
            AnsweringPlugin.spec(answer, self.seen), ShadowPlugin.spec(shadow, self.shadowed, shadow=True)
        )

    def __enter__(self):
        self.stage.start()
        self.charge_point = self.stage.connect("CP1")
        return self

    def __exit__(self, *_):
        self.stage.stop()

    @property
    def compared(self):
        counts = self.stage.counts
        return counts["shadow_same"], counts["shadow_differs"]


def test_the_same_answer_is_counted_as_the_same_however_it_is_written():
    typed = v16.AuthorizeResponse(id_tag_info=v16.IdTagInfo(status="Accepted"))
    with ShadowHarness(ACCEPTED, typed) as harness:
        assert harness.charge_point.call("Authorize", TAG)[2] == ACCEPTED
        assert harness.compared == (1, 0)
        assert (len(harness.seen), len(harness.shadowed)) == (1, 1)
        assert harness.shadowed[0].request == harness.seen[0].request


def test_another_answer_is_counted_and_logged_and_never_sent(caplog):
    with ShadowHarness(ACCEPTED, BLOCKED) as harness:
        assert harness.charge_point.call("Authorize", TAG)[2] == ACCEPTED
        assert harness.compared == (0, 1)
        assert len(harness.charge_point.sent()) == 1
    (line,) = (one.getMessage() for one in caplog.records if "differently" in one.getMessage())
    assert "ShadowPlugin" in line
    assert "Blocked" in line
    assert "Accepted" in line


def fail(error):
    def give(_):
        raise error

    return give


@pytest.mark.parametrize(
    "shadow",
    [
        fail(RuntimeError("planted")),
        fail(gevent.Timeout(1)),
        fail(gevent.GreenletExit()),
        42,
        {"status": "?"},
    ],
    ids=["raises", "leaks a timeout", "exits", "a number", "nonsense"],
)
def test_a_shadow_that_fails_costs_nobody_anything(shadow):
    with ShadowHarness(ACCEPTED, shadow) as harness:
        for _ in range(10):
            assert harness.charge_point.call("Authorize", TAG)[2] == ACCEPTED
        assert harness.compared == (0, 10)
        assert harness.stage.counts["handler_failed"] == 0
        assert harness.stage.counts["fallback"] == 0


def test_errors_are_compared_by_their_code():
    with ShadowHarness(
        fail(OcppError(description="one way")), fail(OcppError(description="another"))
    ) as harness:
        harness.charge_point.call("Authorize", TAG)
        assert harness.compared == (1, 0)


def test_what_a_fallback_said_is_what_a_shadow_is_compared_with():
    with ShadowHarness(fail(RuntimeError("planted")), {}) as harness:
        assert harness.charge_point.call("MeterValues", METER_VALUES)[2] == {}
        assert harness.stage.counts["fallback"] == 1
        assert sum(harness.compared) == 1


def test_a_shadow_that_hangs_keeps_nobody_waiting():
    let_go = Event()
    with ShadowHarness(ACCEPTED, lambda _: let_go.wait() and ACCEPTED) as harness:
        assert [harness.charge_point.call("Authorize", TAG)[2] for _ in range(3)] == [ACCEPTED] * 3
        assert harness.compared == (0, 0)
        let_go.set()
        harness.stage.settle()
        assert harness.compared == (3, 0)


def test_a_shadow_that_hangs_is_killed_at_its_deadline_and_has_failed():
    with ShadowHarness(ACCEPTED, lambda _: Event().wait()) as harness:
        assert [harness.charge_point.call("Authorize", TAG)[2] for _ in range(2)] == [ACCEPTED] * 2
        harness.stage.advance(harness.stage.context.events_s)
        assert harness.compared == (0, 1)
        harness.stage.advance(harness.stage.context.events_s)
        assert harness.compared == (0, 2)
        assert harness.stage.counts["shadow_overdue"] == 2
        assert harness.stage.counts["deadline_passed"] == harness.stage.counts["fallback"] == 0
        assert harness.stage.plugins[1].depth == 0


def test_so_many_calls_of_a_charge_point_wait_for_a_shadow_and_no_more():
    let_go = Event()
    with ShadowHarness(ACCEPTED, lambda _: let_go.wait() and ACCEPTED) as harness:
        for _ in range(SHADOW_BACKLOG + 10):
            assert harness.charge_point.call("Authorize", TAG)[2] == ACCEPTED
        assert harness.stage.plugins[1].depth == SHADOW_BACKLOG
        assert harness.stage.counts["shadow_dropped"] == 9  # one is in its handler
        let_go.set()
        until(lambda: harness.compared == (SHADOW_BACKLOG + 1, 0))
        harness.charge_point.call("Authorize", TAG)
        assert harness.compared == (SHADOW_BACKLOG + 2, 0)


def test_what_waits_to_be_compared_is_dropped_when_the_shadow_is_promoted():
    let_go = Event()
    with ShadowHarness(ACCEPTED, lambda _: let_go.wait() and BLOCKED) as harness:
        for _ in range(3):
            harness.charge_point.call("Authorize", TAG)
        (shadow,) = (cell for cell in harness.stage.plugins if cell.shadow)
        harness.stage.context.router.promote(shadow)
        let_go.set()
        assert harness.charge_point.call("Authorize", TAG)[2] == BLOCKED
        assert harness.stage.counts["shadow_dropped"] == 2
        assert len(harness.shadowed) == 2


def test_a_quicker_shadow_is_compared_when_the_answering_plugin_has_answered():
    let_go = Event()
    with ShadowHarness(lambda _: let_go.wait() and ACCEPTED, ACCEPTED) as harness:
        assert harness.charge_point.call("Authorize", TAG) is None
        assert harness.compared == (0, 0)
        let_go.set()
        harness.stage.settle()
        assert harness.compared == (1, 0)


def test_a_shadow_may_answer_later():
    laters = []
    with ShadowHarness(ACCEPTED, lambda call: laters.append(call.later())) as harness:
        harness.charge_point.call("Authorize", TAG)
        laters[0].answer(BLOCKED)
        laters[0].answer(ACCEPTED)  # the first one counts
        assert harness.compared == (0, 1)


def test_a_shadow_sees_the_transaction_id_that_was_given():
    def give(call):
        return {**ACCEPTED, "transactionId": call.transaction_id}

    with ShadowHarness(give, give) as harness:
        number = harness.charge_point.call("StartTransaction", START)[2]["transactionId"]
        assert harness.shadowed[0].transaction_id == number
        assert harness.compared == (1, 0)


def test_an_action_that_only_a_shadow_claims_is_answered_by_nobody():
    seen = []
    with Stage(ShadowPlugin.spec(ACCEPTED, seen, shadow=True)) as stage:
        charge_point = stage.connect("CP1")
        assert charge_point.call("Authorize", TAG)[2] == "NotSupported"


def test_a_promoted_shadow_answers_and_is_compared_no_more():
    with ShadowHarness(ACCEPTED, BLOCKED) as harness:
        (shadow,) = (cell for cell in harness.stage.plugins if cell.shadow)
        assert isinstance(shadow, PluginCell)
        harness.stage.context.router.promote(shadow)
        assert harness.charge_point.call("Authorize", TAG)[2] == BLOCKED
        assert harness.compared == (0, 0)
        assert harness.seen == []
        assert harness.charge_point.call("MeterValues", METER_VALUES)[2] == {}


def test_what_it_failed_at_as_a_shadow_it_is_not_blamed_for_when_it_is_promoted():
    answers = [Event().wait] * 3
    with ShadowHarness(ACCEPTED, lambda _: answers.pop()() if answers else BLOCKED) as harness:
        (shadow,) = (cell for cell in harness.stage.plugins if cell.shadow)
        for _ in range(3):
            harness.charge_point.call("Authorize", TAG)
            harness.stage.advance(harness.stage.context.events_s)
        assert shadow.breakers.list_open() == [("CP1", "Authorize")]
        harness.charge_point.call("Authorize", TAG)
        assert len(harness.shadowed) == 3  # it is not shown what it fails at
        harness.stage.context.router.promote(shadow)
        assert harness.charge_point.call("Authorize", TAG)[2] == BLOCKED


class CommandingPlugin(Plugin):
    """Sends a command for every event that it receives."""

    def __init__(self, heard):
        super().__init__()
        self.heard = heard
        self.kept = None

    def on_start(self):
        self.kept = self.system

    @on(ChargePointOnline)
    def came(self, event):
        self.heard.append(self.kept.send(event.charge_point_id, v16.ClearCache()))

    @on(ChargePointOffline)
    def went(self, event):
        self.heard.append(event.charge_point_id)

    @on_outcome("*")
    def ended(self, ticket):
        self.heard.append(ticket.action)


def test_a_shadow_hears_of_comings_goings_and_outcomes_and_sends_nothing():
    heard = []
    with Stage(CommandingPlugin.spec(heard, shadow=True)) as stage:
        charge_point = stage.connect("CP1")
        stage.send("CP1", v16.Reset(type="Soft"), timeout_s=1.0)
        stage.settle()
        assert [frame[2] for frame in charge_point.take()] == ["Reset"]
        charge_point.hang_up()
    ticket, *others = heard
    assert (ticket.state, ticket.reason) == ("never_sent", "a shadow sends nothing")
    assert ticket.settled
    assert others == ["Reset", "CP1"]
    assert stage.counts["shadow_call"] == 1


def test_a_shadow_that_was_promoted_sends_also_with_what_it_kept():
    heard = []
    with Stage(CommandingPlugin.spec(heard, shadow=True)) as stage:
        stage.context.router.promote(stage.plugins[0])
        charge_point = stage.connect("CP1")
        assert [frame[2] for frame in charge_point.take()] == ["ClearCache"]
    assert stage.counts["shadow_call"] == 0


def test_a_command_that_is_none_is_an_error_for_a_shadow_too():
    errors = []

    def call(given):
        for request in (v16.AuthorizeResponse, v16.Reset(type="Purple")):
            try:
                given.system.send("CP1", request)
            except (LookupError, InvalidPayload) as error:
                errors.append(type(error))
        return ACCEPTED

    class Careless(AnsweringPlugin):
        @passive("Authorize")
        def authorize(self, _):
            return call(self)

    with Stage(AnsweringPlugin.spec(ACCEPTED, []), Careless.spec(None, [], shadow=True)) as stage:
        stage.connect("CP1").call("Authorize", TAG)
    assert len(errors) == 2


def test_several_shadows_are_each_compared():
    seen = []
    specs = [AnsweringPlugin.spec(ACCEPTED, seen)]
    specs += [
        ShadowPlugin.spec(answer, [], shadow=True, name=f"s{n}")
        for n, answer in enumerate((ACCEPTED, BLOCKED))
    ]
    with Stage(*specs) as stage:
        stage.connect("CP1").call("Authorize", TAG)
        assert (stage.counts["shadow_same"], stage.counts["shadow_differs"]) == (1, 1)


class BulkPlugin(Plugin):
    """Makes a bulk command for each call, and notes the error."""

    def __init__(self, errors):
        super().__init__()
        self.errors = errors

    @passive("Authorize")
    def authorize(self, call):
        try:
            self.system.send_many([call.charge_point.id], v16.ClearCache())
        except BulkNotAvailable as error:
            self.errors.append(str(error))
        return ACCEPTED


def test_a_shadow_makes_no_bulk_commands():
    errors = []
    with Stage(AnsweringPlugin.spec(ACCEPTED, []), BulkPlugin.spec(errors, shadow=True)) as stage:
        stage.connect("CP1").call("Authorize", TAG)
        until(lambda: errors == ["BulkPlugin is a shadow, whose commands are not sent"])


class AlertingPlugin(Plugin):
    """Raises an alert at each Authorize."""

    @passive("Authorize")
    def authorize(self, call):
        self.system.raise_alert(call.charge_point.id, severity=1, source="test", subject="x").wait(1.0)
        return ACCEPTED


def test_a_shadow_raises_no_alerts_before_it_is_promoted():
    with Stage(AnsweringPlugin.spec(ACCEPTED, []), AlertingPlugin.spec(shadow=True)) as stage:
        charge_point = stage.connect("CP1")
        charge_point.call("Authorize", TAG)
        until(lambda: stage.counts["shadow_same"] == 1)
        assert stage.counts["alert_raised"] == 0
