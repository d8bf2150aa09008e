import pytest
from gevent.event import Event

from chargehand import CommandRefused, CommandTimedOut, ErrorCode, OcppError, v16
from chargehand.simulator import Answer, delayed, refusing, silent


def test_an_answer_is_replaced(call, booted):
    booted.answers["ClearCache"] = lambda _: {"status": "Rejected"}
    assert call(v16.ClearCache()).status == "Rejected"


def test_an_answer_is_wrapped_and_keeps_what_follows_it(call, booted):
    own = booted.answers["Reset"]
    seen = []

    def answer(request):
        seen.append(request.type)
        return own(request)

    booted.answers["Reset"] = answer
    call(v16.Reset(type=v16.ResetType.HARD))
    booted.record.wait_for_call("BootNotification", after=3)
    assert seen == ["Hard"]


def test_what_follows_an_answer_comes_after_it(call, booted):
    done = Event()

    def then():
        booted.send(v16.Heartbeat())
        done.set()

    response = v16.ClearCacheResponse(status=v16.ClearCacheStatus.ACCEPTED)
    booted.answers["ClearCache"] = lambda _: Answer(response, then)
    before = booted.record.count
    call(v16.ClearCache())
    assert done.wait(60)
    kinds = [entry.kind for entry in booted.record if entry.number > before]
    assert kinds == ["received", "sent", "sent", "received"]


def test_a_command_is_refused(call, booted):
    booted.answers["Reset"] = refusing(ErrorCode.SECURITY_ERROR, "not you")
    with pytest.raises(CommandRefused, match="not you") as refused:
        call(v16.Reset(type=v16.ResetType.HARD))
    assert refused.value.ticket.code == "SecurityError"
    assert booted.connection.connections == 1


def test_a_command_is_refused_with_details(call, booted):
    def answer(_):
        raise OcppError(ErrorCode.GENERIC_ERROR, "no", {"why": "because"})

    booted.answers["Reset"] = answer
    with pytest.raises(CommandRefused) as refused:
        call(v16.Reset(type=v16.ResetType.HARD))
    assert refused.value.ticket.details == {"why": "because"}


@pytest.mark.parametrize("answer", [lambda _: 1 // 0, lambda _: {"status": "Perhaps"}])
def test_an_answer_that_fails_is_an_internal_error(call, booted, answer):
    booted.answers["ClearCache"] = answer
    with pytest.raises(CommandRefused) as refused:
        call(v16.ClearCache())
    assert refused.value.ticket.code == "InternalError"


def test_a_command_is_never_answered(call, booted):
    booted.answers["ClearCache"] = silent
    with pytest.raises(CommandTimedOut):
        call(v16.ClearCache(), timeout_s=0.01)
    assert call(v16.GetLocalListVersion()).list_version == 0


def test_a_command_is_answered_late_while_the_charge_point_goes_on(system, booted):
    asked, go_on = Event(), Event()
    own = booted.answers["ClearCache"]

    def answer(request):
        asked.set()
        go_on.wait()
        return own(request)

    booted.answers["ClearCache"] = answer
    ticket = system.send(booted.identity, v16.ClearCache())
    assert asked.wait(60)
    booted.send(v16.Heartbeat())
    assert ticket.open
    go_on.set()
    assert ticket.result().status == "Accepted"


def test_a_delay_comes_before_the_answer(call, booted):
    booted.answers["ClearCache"] = delayed(0.001, booted.answers["ClearCache"])
    assert call(v16.ClearCache()).status == "Accepted"
