"""`@after` handlers see the calls of an action, and the answers that were sent."""

import pytest

from chargehand import ErrorCode, OcppError, Plugin, after, passive, v16
from chargehand.actors.plugin.cell import EVENT_BACKLOG
from chargehand.testing import Stage, StubStore

ACCEPTED = {"idTagInfo": {"status": "Accepted"}}
AUTHORIZE = ("Authorize", {"idTag": "T1"})
START = {"connectorId": 1, "idTag": "T1", "meterStart": 0, "timestamp": "2026-01-01T00:00:00Z"}
TYPED = v16.AuthorizeResponse(id_tag_info=v16.IdTagInfo(status=v16.AuthorizationStatus.ACCEPTED))


class Watcher(Plugin):
    """Observes answers and notes (request, answer, fallback)."""

    def __init__(self, seen):
        super().__init__()
        self.seen = seen

    @after(v16.Authorize)
    @after(v16.StartTransaction)
    @after(v16.BootNotification)
    def look(self, call, answer):
        self.seen.append((call.request, answer, call.fallback))


class Answering(Plugin):
    """Answers with the response that it was made with."""

    def __init__(self, act):
        super().__init__()
        self._act = act

    @passive(v16.Authorize)
    def authorize(self, call):
        return self._act(call)

    @passive(v16.StartTransaction)
    def start_transaction(self, call):
        return self._act(call)

    @passive(v16.BootNotification)
    def boot(self, _):
        return {"status": "Accepted", "currentTime": "2026-01-01T00:00:00Z", "interval": 300}


def failing(_):
    raise RuntimeError("broken")


@pytest.fixture
def seen():
    return []


def play(seen, act=lambda _: ACCEPTED, **options):
    return Stage(Answering.spec(act), Watcher.spec(seen), **options)


def test_a_watcher_sees_the_call_and_the_typed_answer_and_takes_nothing(seen):
    with play(seen) as stage:
        assert stage.connect("CP1").call(*AUTHORIZE)[2] == ACCEPTED
        stage.settle()
    assert seen == [(v16.Authorize(id_tag="T1"), TYPED, False)]


def test_a_callerror_is_seen_as_the_error(seen):
    def refuse(_):
        raise OcppError(ErrorCode.SECURITY_ERROR, "no")

    with play(seen, refuse) as stage:
        stage.connect("CP1").call(*AUTHORIZE)
        stage.settle()
    ((_, error, fallback),) = seen
    assert (error.code, error.description, fallback) == (ErrorCode.SECURITY_ERROR, "no", False)


def test_a_fallback_answer_is_seen_as_one(seen):
    with play(seen, failing) as stage:
        stage.connect("CP1").call(*AUTHORIZE)
        stage.settle()
    ((_, error, fallback),) = seen
    assert (error.code, fallback) == (ErrorCode.INTERNAL_ERROR, True)


def test_an_acknowledged_transaction_message_is_seen_with_its_number(seen):
    with play(seen, failing, store=StubStore()) as stage:
        answer = stage.connect("CP1").call("StartTransaction", START)[2]
        stage.settle()
    ((_, typed, fallback),) = seen
    assert (typed.transaction_id, fallback) == (answer["transactionId"], True)


def test_the_answer_to_a_boot_is_seen(seen):
    with play(seen) as stage:
        stage.connect("CP1").call("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
        stage.settle()
    assert [type(answer) for _, answer, _ in seen] == [v16.BootNotificationResponse]


def test_what_was_never_answered_is_not_seen(seen):
    kept = []

    def later(call):
        kept.append(call.later())

    with play(seen, later) as stage:
        charge_point = stage.connect("CP1")
        charge_point.send([2, "1", *AUTHORIZE])
        stage.settle()
        charge_point.hang_up()
        kept[0].answer(ACCEPTED)
        stage.settle()
    assert seen == []


def test_a_watcher_that_fails_costs_neither_the_answer_nor_the_next_event(seen, caplog):
    class Broken(Watcher):
        @after(v16.Authorize)
        def look(self, call, answer):
            super().look(call, answer)
            raise RuntimeError("broken watcher")

    with Stage(Answering.spec(lambda _: ACCEPTED), Broken.spec(seen)) as stage:
        charge_point = stage.connect("CP1")
        for _ in range(2):
            assert charge_point.call(*AUTHORIZE)[2] == ACCEPTED
        stage.settle()
    assert len(seen) == 2
    assert "broken watcher" in caplog.text


def test_a_watcher_that_does_not_keep_up_loses_the_newest_and_that_is_counted(seen):
    with play(seen) as stage:
        charge_point = stage.connect("CP1")
        watcher = stage.plugins[1]
        watcher.concurrency = 0
        for _ in range(EVENT_BACKLOG + 3):
            charge_point.call(*AUTHORIZE)
        assert stage.counts["event_dropped"] == 3
        watcher.concurrency = 1
        watcher._requeue()
        stage.settle()
    assert len(seen) == EVENT_BACKLOG


def test_an_action_that_no_version_has_cannot_be_looked_at():
    class Wrong(Plugin):
        @after("Sing")
        def look(self, call, answer):
            """Do nothing."""

    from chargehand.actors.plugin.routing import UnknownHandler, claimed_rows  # noqa: PLC0415
    from chargehand.protocol.versions import VERSIONS  # noqa: PLC0415

    with pytest.raises(UnknownHandler, match="Sing is not an action"):
        claimed_rows(Wrong.spec(), VERSIONS.values(), "after")
