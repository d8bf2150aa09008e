"""Declaration of plugins: marks, inheritance and specs; and the ways in which a handler may answer."""

import gevent
import pytest
from gevent.event import Event

from chargehand import (
    Call,
    ChargePointOffline,
    ChargePointOnline,
    Later,
    OcppError,
    Plugin,
    Receipt,
    StoreError,
    on,
    on_outcome,
    passive,
    v16,
)
from chargehand.testing import Stage

ACCEPTED = {"idTagInfo": {"status": "Accepted"}}
INVALID = {"idTagInfo": {"status": "Invalid"}}


class Tags(Plugin):
    """The plugin of the README."""

    def __init__(self, known=frozenset()):
        super().__init__()
        self.known = known

    @passive(v16.Authorize)
    def authorize(self, call: Call[v16.Authorize]):
        status = "Accepted" if call.request.id_tag in self.known else "Invalid"
        return v16.AuthorizeResponse(id_tag_info=v16.IdTagInfo(status=status))


# Declaring


def test_an_action_is_named_by_its_request_or_by_its_name():
    class Named(Plugin):
        @passive(v16.Authorize)
        def one(self, call):
            """Do nothing."""

        @passive("Heartbeat")
        def two(self, call):
            """Do nothing."""

    assert Named.handlers == {
        ("passive", "Authorize", "1.6"): "one",
        ("passive", "Heartbeat", ""): "two",
    }


@pytest.mark.parametrize("action", [5, None, v16.AuthorizeResponse, v16.IdTagInfo])
def test_what_is_no_action_cannot_be_handled(action):
    with pytest.raises(TypeError, match="neither a request nor the name of an action"):
        passive(action)


def test_one_handler_may_serve_several_actions():
    class Several(Plugin):
        @passive("Heartbeat")
        @passive("Authorize")
        @on_outcome("Reset")
        def all_of_them(self, subject):
            """Do nothing."""

    assert sorted(Several.handlers) == [
        ("outcome", "Reset", ""),
        ("passive", "Authorize", ""),
        ("passive", "Heartbeat", ""),
    ]


@pytest.mark.parametrize(
    "mark", [passive("Authorize"), on_outcome("Reset"), on_outcome(), on(ChargePointOnline)]
)
def test_two_handlers_for_the_same_thing_are_an_error(mark):
    def handler(self, subject):
        """Do nothing."""

    def another(self, subject):
        """Do nothing."""

    with pytest.raises(TypeError, match="Twice has two handlers for"):
        type("Twice", (Plugin,), {"one": mark(handler), "two": mark(another)})


def test_a_handler_that_would_hide_something_of_every_actor_is_an_error():
    def stop(self, call):
        """Do nothing."""

    with pytest.raises(TypeError, match="hides the attribute stop"):
        type("Hiding", (Plugin,), {"stop": passive("StopTransaction")(stop)})


def test_a_subclass_inherits_the_handlers():
    class Heir(Tags):
        """Adds nothing."""

    with Stage(Heir.spec(known={"T1"})) as stage:
        assert stage.connect("CP1").call("Authorize", {"idTag": "T1"})[2] == ACCEPTED


def test_a_subclass_may_override_a_handler_without_marking_it_again():
    class Generous(Tags):
        def authorize(self, call):
            return ACCEPTED

    with Stage(Generous) as stage:
        assert stage.connect("CP1").call("Authorize", {"idTag": "T1"})[2] == ACCEPTED


def test_a_subclass_may_claim_an_action_with_another_method():
    class Other(Tags):
        @passive(v16.Authorize)
        def decide(self, call):
            return ACCEPTED

    assert Other.handlers == {("passive", "Authorize", "1.6"): "decide"}
    assert Tags.handlers == {("passive", "Authorize", "1.6"): "authorize"}


def test_a_handler_for_every_version_takes_the_place_of_an_inherited_one():
    class Other(Tags):
        @passive("Authorize")
        def decide(self, call):
            return ACCEPTED

    assert Other.handlers == {("passive", "Authorize", ""): "decide"}


def test_handlers_can_come_from_a_class_that_is_no_plugin():
    class Mixin:
        @passive("Heartbeat")
        def beat(self, call):
            return {"currentTime": "2026-01-01T00:00:00Z"}

    class Mixed(Mixin, Plugin):
        """Adds nothing."""

    with Stage(Mixed) as stage:
        assert stage.connect("CP1").call("Heartbeat")[2] == {"currentTime": "2026-01-01T00:00:00Z"}


def test_a_spec_says_how_to_make_the_plugin_again_and_again():
    spec = Tags.spec(known={"T1"}, concurrency=5, name="my tags")
    assert (spec.plugin, spec.kwargs, spec.concurrency, spec.name) == (Tags, {"known": {"T1"}}, 5, "my tags")
    assert Tags.spec().name == "Tags"
    assert Tags.spec().concurrency == 64


def test_a_plugin_of_no_system_cannot_call():
    ref = Tags.start()
    with pytest.raises(RuntimeError, match="was not started by a system"):
        ref.proxy().system.get(timeout=60)
    ref.stop()


# Handling


class AnswerKindsPlugin(Plugin):
    """Handles calls in every way in which a handler may answer."""

    def __init__(self, log):
        super().__init__()
        self.log = log

    @passive(v16.DataTransfer)
    def data(self, call):
        return getattr(self, call.request.vendor_id)(call)

    def message(self, call):
        return v16.DataTransferResponse(status=v16.DataTransferStatus.ACCEPTED)

    def mapping(self, call):
        return {"status": "Accepted"}

    def refuses(self, call):
        raise OcppError("SecurityError", "not you", {"why": 1})

    def looks(self, call):
        self.log.append(
            (call.charge_point.id, call.unique_id, call.action, call.received_at, call.open, call.deviations)
        )
        return {"status": "Accepted"}

    def asks(self, call):
        ticket = self.system.send(call.charge_point.id, v16.GetLocalListVersion())
        return {"status": "Accepted", "data": str(ticket.result().list_version)}

    def later(self, call):
        self.log.append(call.later())
        return "what is returned now is ignored"

    def stores(self, call):
        receipts = [Receipt(), Receipt(done=True), Receipt()]
        self.log.append(receipts)
        return call.once_stored({"status": "Accepted"}, *receipts)

    def stores_much(self, call):
        receipts = [Receipt() for _ in range(5000)]
        self.log.append(receipts)
        return call.once_stored({"status": "Accepted"}, *receipts)

    def has_stored(self, call):
        return call.once_stored({"status": "Accepted"}, Receipt(done=True))

    def could_not_store(self, call):
        receipts = Receipt(), Receipt(done=True, error=StoreError("the disk is full"))
        return call.once_stored({"status": "Accepted"}, *receipts)

    def leaves(self, call):
        later = call.later()
        gevent.spawn(lambda: later.answer({"status": "Rejected"}))

    def blocks(self, call):
        block = Event()
        self.log.append(block)
        block.wait()
        return {"status": "Accepted"}


@pytest.fixture
def stage(log):
    with Stage(AnswerKindsPlugin.spec(log)) as stage:
        yield stage


@pytest.mark.parametrize("way", ["message", "mapping"])
def test_a_handler_returns_a_message_or_a_mapping(charge_point, way):
    assert charge_point.call("DataTransfer", {"vendorId": way}) == [3, "1", {"status": "Accepted"}]


def test_a_handler_raises_an_error_that_is_the_answer(charge_point, stage):
    answer = charge_point.call("DataTransfer", {"vendorId": "refuses"})
    assert answer == [4, "1", "SecurityError", "not you", {"why": 1}]
    assert stage.counts["handler_failed"] == 0


def test_a_handler_knows_who_sent_what_and_when(charge_point, stage, log):
    charge_point.call("DataTransfer", {"vendorId": "looks", "messageId": None}, "id-7")
    ((charge_point_id, unique_id, action, received_at, open_, deviations),) = log
    assert (charge_point_id, unique_id, action, open_) == ("CP1", "id-7", "DataTransfer", True)
    assert received_at.timestamp() == stage.clock.time()
    assert [deviation.path for deviation in deviations] == ["messageId"]


def test_a_handler_may_call_the_charge_point_it_answers_and_wait(charge_point):
    assert charge_point.call("DataTransfer", {"vendorId": "asks"}) is None
    (call,) = charge_point.take()
    assert call[2] == "GetLocalListVersion"
    charge_point.answer(call, {"listVersion": 7})
    assert charge_point.take() == [[3, "1", {"status": "Accepted", "data": "7"}]]


def test_a_handler_may_answer_later(charge_point, stage, log):
    assert charge_point.call("DataTransfer", {"vendorId": "later"}) is None
    (later,) = log
    assert isinstance(later, Later)
    later.answer({"status": "Rejected"})
    stage.settle()
    assert charge_point.take() == [[3, "1", {"status": "Rejected"}]]


def test_a_handler_that_answers_later_does_not_hold_the_next_call(charge_point):
    charge_point.call("DataTransfer", {"vendorId": "later"})
    assert charge_point.call("DataTransfer", {"vendorId": "mapping"})[2] == {"status": "Accepted"}


def test_an_answer_may_come_from_another_greenlet(charge_point):
    assert charge_point.call("DataTransfer", {"vendorId": "leaves"})[2] == {"status": "Rejected"}


@pytest.mark.parametrize("order", [(0, 2), (2, 0)])
def test_an_answer_waits_until_all_is_stored_and_does_not_hold_the_next_call(charge_point, stage, log, order):
    assert charge_point.call("DataTransfer", {"vendorId": "stores"}) is None
    assert charge_point.call("DataTransfer", {"vendorId": "mapping"})[1] == "2"
    for place in order:
        stage.settle()
        assert charge_point.take() == []
        log[0][place].settle()
    stage.settle()
    assert charge_point.take() == [[3, "1", {"status": "Accepted"}]]


def test_an_answer_may_wait_for_thousands_of_receipts(charge_point, stage, log):
    assert charge_point.call("DataTransfer", {"vendorId": "stores_much"}) is None
    for receipt in log[0]:
        receipt.settle()
    stage.settle()
    assert charge_point.take() == [[3, "1", {"status": "Accepted"}]]


def test_what_is_stored_already_is_answered_at_once(charge_point):
    assert charge_point.call("DataTransfer", {"vendorId": "has_stored"}) == [3, "1", {"status": "Accepted"}]


def test_what_could_not_be_stored_counts_as_the_handlers_failure(charge_point, stage, log):
    assert charge_point.call("DataTransfer", {"vendorId": "could_not_store"})[0] == 4
    assert charge_point.call("DataTransfer", {"vendorId": "stores"}) is None
    log[0][2].settle(StoreError("the disk is full"))
    log[0][0].settle()
    stage.settle()
    assert charge_point.take()[0][:2] == [4, "2"]
    assert stage.counts["handler_failed"] == 2
    assert stage.counts["late_answer"] == 0


def test_only_the_first_answer_counts(charge_point, stage, log):
    charge_point.call("DataTransfer", {"vendorId": "later"})
    log[0].answer({"status": "Rejected"})
    log[0].answer({"status": "Accepted"})
    log[0].fail(OcppError("GenericError"))
    stage.settle()
    assert charge_point.take() == [[3, "1", {"status": "Rejected"}]]
    assert stage.counts["late_answer"] == 1


def test_a_later_answer_may_be_an_error(charge_point, stage, log):
    for _ in range(2):
        charge_point.call("DataTransfer", {"vendorId": "later"})
    log[0].fail(OcppError("SecurityError", "no"))
    log[1].fail(ValueError("an error of the handler's"))
    stage.settle()
    assert [answer[2] for answer in charge_point.take()] == ["SecurityError", "InternalError"]


def test_an_answer_for_a_charge_point_that_was_let_go_of_is_lost_without_a_sound(charge_point, stage, log):
    charge_point.call("DataTransfer", {"vendorId": "later"})
    cell = stage.cells["CP1"]
    cell.kill()
    cell.end()
    log[0].answer({"status": "Accepted"})
    stage.settle()


def test_calls_of_one_charge_point_are_handled_in_order_and_others_meanwhile(stage, log):
    one, two = stage.connect("CP1"), stage.connect("CP2")
    assert one.call("DataTransfer", {"vendorId": "blocks"}) is None
    assert one.call("DataTransfer", {"vendorId": "mapping"}) is None
    assert two.call("DataTransfer", {"vendorId": "mapping"})[0] == 3
    log[0].set()
    stage.settle()
    assert [answer[1] for answer in one.take()] == ["1", "2"]


def test_with_a_concurrency_of_one_the_others_wait(log):
    with Stage(AnswerKindsPlugin.spec(log, concurrency=1)) as stage:
        one, two = stage.connect("CP1"), stage.connect("CP2")
        one.call("DataTransfer", {"vendorId": "blocks"})
        assert two.call("DataTransfer", {"vendorId": "mapping"}) is None
        log[0].set()
        stage.settle()
        assert two.take() == [[3, "1", {"status": "Accepted"}]]


# Hearing


class PresencePlugin(Plugin):
    """Receives every kind of event about presence."""

    def __init__(self, log):
        super().__init__()
        self.log = log

    @on(ChargePointOnline)
    def came(self, event):
        self.log.append(("came", event.charge_point_id))

    @on(ChargePointOffline)
    def went(self, event):
        self.log.append(("went", event.charge_point_id))

    @on_outcome(v16.ClearCache)
    def cleared(self, ticket):
        self.log.append(("cleared", str(ticket.state)))

    @on_outcome("*")
    def anything(self, ticket):
        self.log.append(("anything", ticket.action))
        raise ValueError("a failure here costs nobody anything")


def test_a_plugin_hears_of_comings_goings_and_outcomes(log):
    with Stage(PresencePlugin.spec(log)) as stage:
        charge_point = stage.connect("CP1")
        stage.send("CP1", v16.ClearCache())
        stage.settle()
        charge_point.answer(charge_point.take()[0], {"status": "Accepted"})
        stage.send("CP1", v16.GetLocalListVersion())
        stage.settle()
        charge_point.hang_up()
        stage.send("nobody", v16.ClearCache())
        stage.settle()
    assert [line for line in log if line[0] != "anything"] == [
        ("came", "CP1"),
        ("cleared", "answered"),
        ("went", "CP1"),
        ("cleared", "never_sent"),
    ]
    assert [line[1] for line in log if line[0] == "anything"] == [
        "ClearCache",
        "GetLocalListVersion",
        "ClearCache",
    ]
