"""A handler passes its call on to the next plugin, and returns, changes or observes the answer."""

import pytest

from chargehand import (
    Call,
    ErrorCode,
    OcppError,
    PassOnFailed,
    Plugin,
    passive,
    v16,
)
from chargehand.actors.plugin.circuit_breaker import CircuitBreakerPolicy
from chargehand.testing import Stage

ACCEPTED = {"idTagInfo": {"status": "Accepted"}}
AUTHORIZE = ("Authorize", {"idTag": "T1"})


class First(Plugin):
    """Passes every call on; `seen` has the answers, or the errors raised instead."""

    def __init__(self, seen, change=lambda answer: answer):
        super().__init__()
        self._seen, self._change = seen, change

    @passive(v16.Authorize)
    def authorize(self, call: Call[v16.Authorize]):
        try:
            answer = call.pass_on()
        except (OcppError, PassOnFailed) as error:
            self._seen.append(error)
            raise
        self._seen.append(answer)
        return self._change(answer)


class Last(Plugin):
    """Answers with the response that it was made with."""

    def __init__(self, act):
        super().__init__()
        self._act = act

    @passive(v16.Authorize)
    def authorize(self, call):
        return self._act(call)


def failing(_):
    raise RuntimeError("broken")


@pytest.fixture
def seen():
    return []


def play(seen, act, change=lambda answer: answer):
    return Stage(First.spec(seen, change), Last.spec(act))


def test_the_answer_of_the_next_plugin_is_typed_and_can_be_returned(seen):
    with play(seen, lambda _: ACCEPTED) as stage:
        assert stage.connect("CP1").call(*AUTHORIZE)[2] == ACCEPTED
    assert seen == [v16.AuthorizeResponse(id_tag_info=v16.IdTagInfo(status=v16.AuthorizationStatus.ACCEPTED))]


def test_the_answer_of_the_next_plugin_can_be_changed(seen):
    blocked = {"idTagInfo": {"status": "Blocked"}}
    with play(seen, lambda _: ACCEPTED, lambda _: blocked) as stage:
        assert stage.connect("CP1").call(*AUTHORIZE)[2] == blocked


def test_an_answer_that_the_next_plugin_gives_later_is_waited_for(seen):
    kept = []

    def later(call):
        kept.append(call.later())

    with play(seen, later) as stage:
        charge_point = stage.connect("CP1")
        charge_point.send([2, "1", *AUTHORIZE])
        stage.settle()
        assert charge_point.take() == []
        kept[0].answer(ACCEPTED)
        stage.settle()
        assert charge_point.take() == [[3, "1", ACCEPTED]]


def test_a_callerror_of_the_next_plugin_is_raised_and_goes_on_if_it_escapes(seen):
    def refuse(_):
        raise OcppError(ErrorCode.SECURITY_ERROR, "no")

    with play(seen, refuse) as stage:
        assert stage.connect("CP1").call(*AUTHORIZE)[2:4] == ["SecurityError", "no"]
    assert [type(one) for one in seen] == [OcppError]


@pytest.mark.parametrize("act", [failing, lambda _: {"wrong": 1}])
def test_a_failure_of_the_next_plugin_counts_against_it_and_the_fallback_answers(seen, act):
    with play(seen, act) as stage:
        assert stage.connect("CP1").call(*AUTHORIZE)[2] == "InternalError"
        first, last = stage.plugins
        assert (bool(first.breakers.failing), bool(last.breakers.failing)) == (False, True)
    assert [one.cause for one in seen] == ["failed"]


def test_a_failure_of_the_next_plugin_can_be_made_good(seen):
    class Forgiving(First):
        @passive(v16.Authorize)
        def authorize(self, call):
            try:
                return call.pass_on()
            except PassOnFailed:
                return ACCEPTED

    with Stage(Forgiving.spec(seen), Last.spec(failing)) as stage:
        assert stage.connect("CP1").call(*AUTHORIZE)[2] == ACCEPTED


def test_a_plugin_with_an_open_circuit_breaker_is_not_passed_to(seen):
    failures = CircuitBreakerPolicy().failures_to_open
    with play(seen, failing) as stage:
        charge_point = stage.connect("CP1")
        for _ in range(failures + 1):
            charge_point.call(*AUTHORIZE)
    assert [one.cause for one in seen] == ["failed"] * failures + ["quarantined"]


def test_at_the_deadline_the_fallback_answers_and_the_next_plugin_is_to_blame(seen):
    with play(seen, lambda call: call.later()) as stage:
        charge_point = stage.connect("CP1")
        charge_point.send([2, "1", *AUTHORIZE])
        stage.settle()
        stage.advance(stage.context.rules.default_deadline_s)
        assert charge_point.take()[0][2] == "InternalError"
        first, last = stage.plugins
        assert (bool(first.breakers.failing), bool(last.breakers.failing)) == (False, True)
    assert [one.cause for one in seen] == ["too_late"]


def test_a_handler_that_blocks_beyond_the_deadline_after_passing_on_is_killed(seen):
    ended = []

    class Stubborn(First):
        @passive(v16.Authorize)
        def authorize(self, call):
            try:
                call.pass_on()
            except PassOnFailed:
                try:
                    self._change(call)
                finally:
                    ended.append(1)

    from gevent.event import Event  # noqa: PLC0415 - only this test blocks

    never = Event()
    with Stage(Stubborn.spec(seen, lambda _: never.wait()), Last.spec(lambda call: call.later())) as stage:
        charge_point = stage.connect("CP1")
        charge_point.send([2, "1", *AUTHORIZE])
        stage.settle()
        stage.advance(stage.context.rules.default_deadline_s)
        assert ended == []
        stage.advance(2.0)
        assert ended == [1]


def test_without_a_next_plugin_the_action_is_not_supported(seen):
    with Stage(First.spec(seen)) as stage:
        assert stage.connect("CP1").call(*AUTHORIZE)[2] == "NotSupported"


def test_a_call_can_be_passed_on_once_only(seen):
    class Twice(First):
        @passive(v16.Authorize)
        def authorize(self, call):
            call.pass_on()
            with pytest.raises(RuntimeError, match="passed on before"):
                call.pass_on()
            return ACCEPTED

    with Stage(Twice.spec(seen), Last.spec(lambda _: ACCEPTED)) as stage:
        assert stage.connect("CP1").call(*AUTHORIZE)[2] == ACCEPTED


def test_three_plugins_pass_a_call_down_and_its_answer_up(seen):
    order = []

    class Middle(Plugin):
        @passive(v16.Authorize)
        def authorize(self, call):
            order.append("middle down")
            answer = call.pass_on()
            order.append("middle up")
            return answer

    def last(_):
        order.append("last")
        return ACCEPTED

    with Stage(First.spec(seen), Middle, Last.spec(last)) as stage:
        assert stage.connect("CP1").call(*AUTHORIZE)[2] == ACCEPTED
    assert order == ["middle down", "last", "middle up"]


def test_a_shadow_that_passes_on_has_the_answer_that_was_sent(seen):
    with Stage(First.spec(seen, shadow=True), Last.spec(lambda _: ACCEPTED)) as stage:
        assert stage.connect("CP1").call(*AUTHORIZE)[2] == ACCEPTED
        stage.settle()
        assert stage.counts["shadow_same"] == 1
    assert [type(one) for one in seen] == [v16.AuthorizeResponse]


class Renamed(Plugin):
    """Passes every call on with another request."""

    def __init__(self, request):
        super().__init__()
        self._request = request

    @passive(v16.Authorize)
    def authorize(self, call: Call[v16.Authorize]):
        return call.pass_on(self._request)

    @passive(v16.StopTransaction)
    def stopped(self, call: Call[v16.StopTransaction]):
        return call.pass_on(call.request)


def test_another_request_of_the_action_may_be_passed_on():
    tags = []
    last = Last.spec(lambda call: tags.append(call.request.id_tag) or ACCEPTED)
    with Stage(Renamed.spec(v16.Authorize(id_tag="T2")), last) as stage:
        assert stage.connect("CP1").call(*AUTHORIZE)[2] == ACCEPTED
    assert tags == ["T2"]


def test_a_request_of_another_action_is_not_passed_on():
    with Stage(Renamed.spec(v16.Heartbeat()), Last.spec(lambda _: ACCEPTED)) as stage:
        assert stage.connect("CP1").call(*AUTHORIZE)[2] == "InternalError"


def test_a_transaction_message_is_passed_on_as_it_was_sent():
    with Stage(Renamed.spec(None), Last.spec(lambda _: ACCEPTED)) as stage:
        payload = {"meterStop": 1, "timestamp": "2026-11-28T09:30:00Z", "transactionId": 1}
        assert stage.connect("CP1").call("StopTransaction", payload)[2] == {}  # the fallback
