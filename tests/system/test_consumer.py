"""The state of a consumer of durable events: order, retries, positions; whatever happens in between."""

import datetime as dt

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from chargehand import ReservationEnded
from chargehand.system.consumer import Consumer

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
EARLIER, OWN = 1, 2
ATTEMPTS = 3
DELAY_S, DELAY_MAX_S = 1.0, 3.0


def event(charge_point_id, id_="", after_s=0):
    at = NOW + dt.timedelta(seconds=after_s)
    return ReservationEnded(
        at=at, id=id_, charge_point_id=charge_point_id, reservation_id=1, evse=1, id_tag="T", state="used"
    )


def add(one, origin, number, charge_point_id, after_s=0):
    made = event(charge_point_id, after_s=after_s)
    one.add(origin, number, made.at, made)


def consumer(*, whole=True):
    """Make a consumer of two lives, of which all is read."""
    made = Consumer(
        "one",
        [ReservationEnded],
        attempts=ATTEMPTS,
        delay_s=DELAY_S,
        delay_max_s=DELAY_MAX_S,
    )
    made.follow(EARLIER, 0)
    made.follow(OWN, 0)
    for origin in (EARLIER, OWN) if whole else ():
        made.read_to(origin, None)
    return made


def test_events_of_one_charge_point_come_one_at_a_time_and_those_of_others_at_once():
    one = consumer()
    for number, charge_point_id in enumerate(("CP1", "CP1", "CP2"), 1):
        add(one, OWN, number, charge_point_id)
    first, other = one.due(0.0)
    assert (first.number, other.number) == (1, 3)
    assert list(one.due(0.0)) == []
    one.done(first)
    (second,) = one.due(0.0)
    assert second.number == 2


def test_the_position_is_behind_the_first_event_that_is_not_done():
    one = consumer()
    for number, charge_point_id in enumerate(("CP1", "CP2", "CP3"), 1):
        add(one, OWN, number, charge_point_id)
    one.skip(OWN, 9)
    first, second, third = one.due(0.0)
    one.done(second)
    assert one.positions() == {}
    one.done(first)
    assert one.positions() == {OWN: 2}
    assert one.positions() == {}
    one.done(third)
    assert one.positions() == {OWN: 9}
    one.unstored(OWN, 9)
    assert one.positions() == {OWN: 9}


def test_an_event_that_fails_is_due_later_and_later_and_then_no_more():
    one = consumer()
    add(one, OWN, 1, "CP1")
    (delivery,) = one.due(0.0)
    assert one.failed(delivery, 0.0)
    one.wake("CP1")
    assert list(one.due(DELAY_S - 0.1)) == []
    one.wake("CP1")
    assert list(one.due(DELAY_S)) == [delivery]
    assert one.failed(delivery, 10.0)
    assert delivery.due == 12.0
    one.wake("CP1")
    assert list(one.due(12.0)) == [delivery]
    assert not one.failed(delivery, 12.0)


def test_events_of_an_earlier_life_go_before_own_ones_that_wait():
    one = consumer()
    add(one, OWN, 1, "CP1")
    (own,) = one.due(0.0)
    one.wait(own, 1.0)
    add(one, EARLIER, 5, "CP1")
    (earlier,) = one.due(0.0)
    assert earlier.number == 5
    one.done(earlier)
    assert list(one.due(1.0)) == [own]


def test_of_processes_that_lived_at_once_the_older_event_comes_first():
    one = consumer()
    add(one, EARLIER, 1, "CP1", after_s=2)  # its charge point came from the other process
    (end,) = one.due(0.0)
    one.wait(end, 1.0)
    add(one, OWN, 1, "CP1", after_s=1)
    add(one, OWN, 2, "CP1", after_s=3)
    found = []
    for _ in range(3):
        (delivery,) = one.due(5.0)
        one.done(delivery)
        found.append((delivery.origin, delivery.number))
    assert found == [(OWN, 1), (EARLIER, 1), (OWN, 2)]


def test_events_of_one_process_keep_their_order_though_their_times_go_back():
    one = consumer()
    for number, after_s in enumerate((5, 1, 9), 1):
        add(one, EARLIER, number, "CP1", after_s=after_s)
    add(one, OWN, 1, "CP1", after_s=2)
    found = []
    for _ in range(4):
        (delivery,) = one.due(5.0)
        one.done(delivery)
        found.append((delivery.origin, delivery.number))
    assert found == [(EARLIER, 1), (EARLIER, 2), (OWN, 1), (EARLIER, 3)]


def test_no_event_is_handed_out_before_all_lives_are_read_up_to_its_time():
    one = consumer(whole=False)
    add(one, OWN, 1, "CP1", after_s=5)
    add(one, OWN, 2, "CP2", after_s=1)
    one.read_to(OWN, None)
    assert list(one.due(0.0)) == []
    add(one, EARLIER, 1, "CP1", after_s=2)
    one.read_to(EARLIER, NOW + dt.timedelta(seconds=2))
    earlier, other = one.due(0.0)
    assert (earlier.origin, earlier.number) == (EARLIER, 1)
    assert (other.origin, other.number) == (OWN, 2)
    one.done(earlier)
    assert list(one.due(0.0)) == []
    one.read_to(EARLIER, None)
    (own,) = one.due(0.0)
    assert (own.origin, own.number) == (OWN, 1)


class ConsumerMachine(RuleBasedStateMachine):
    """Events of two lives are added, taken, refused and put off at random, and time passes."""

    def __init__(self):
        super().__init__()
        self.one = consumer()
        self.now = 0.0
        self.numbers = {EARLIER: 0, OWN: 0}
        self.added = {}  # by charge point and life
        self.done = {}
        self.running = []
        self.undone = {EARLIER: set(), OWN: set()}
        self.stored = {EARLIER: 0, OWN: 0}

    @rule(
        origin=st.sampled_from([EARLIER, OWN]),
        charge_point_id=st.sampled_from("abc"),
        after_s=st.integers(0, 9),
    )
    def add(self, origin, charge_point_id, after_s):
        self.numbers[origin] += 1
        number = self.numbers[origin]
        add(self.one, origin, number, charge_point_id, after_s=after_s)
        self.added.setdefault((charge_point_id, origin), []).append(number)
        self.undone[origin].add(number)

    @rule(origin=st.sampled_from([EARLIER, OWN]))
    def skip(self, origin):
        self.numbers[origin] += 1
        self.one.skip(origin, self.numbers[origin])

    @rule()
    def take(self):
        for delivery in self.one.due(self.now):
            charge_point_id = delivery.event.charge_point_id
            assert charge_point_id not in [one.event.charge_point_id for one in self.running]
            assert delivery.due <= self.now
            self.running.append(delivery)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), what=st.sampled_from(["done", "failed", "wait"]))
    def end(self, data, what):
        delivery = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        if what == "wait":
            self.one.wait(delivery, self.now + 1.0)
        elif what == "done" or not self.one.failed(delivery, self.now):
            self.one.done(delivery)
            key = delivery.event.charge_point_id, delivery.origin
            self.done.setdefault(key, []).append(delivery.number)
            self.undone[delivery.origin].discard(delivery.number)

    @rule(seconds=st.floats(0.1, 5.0))
    def wait(self, seconds):
        self.now += seconds
        for charge_point_id in "abc":
            self.one.wake(charge_point_id)

    @rule()
    def store(self):
        for origin, position in self.one.positions().items():
            assert position > self.stored[origin]
            self.stored[origin] = position

    @invariant()
    def nothing_is_passed_over(self):
        for key, numbers in self.done.items():
            assert numbers == self.added[key][: len(numbers)]
        for origin, undone in self.undone.items():
            assert self.stored[origin] < min(undone, default=self.numbers[origin] + 1)
        assert len(self.one) == sum(map(len, self.undone.values()))

    def teardown(self):
        for _ in range(1000):
            self.now += DELAY_MAX_S
            for charge_point_id in "abc":
                self.one.wake(charge_point_id)
            for delivery in [*self.running, *self.one.due(self.now)]:
                self.one.done(delivery)
            self.running = []
            if not len(self.one):
                break
        assert len(self.one) == 0
        positions = {**self.stored, **self.one.positions()}
        assert positions == self.numbers


TestConsumer = ConsumerMachine.TestCase


def correct(one, number, transaction, charge_point_id="CP1", settled_at=0.0):
    made = event(charge_point_id)
    one.add(OWN, number, made.at, made, corrects=transaction, settled_at=settled_at)


def test_corrections_of_a_transaction_that_follow_each_other_are_told_as_one():
    one = consumer()
    for number in (1, 2, 3):
        correct(one, number, 7)
    (told,) = one.due(0.0)
    assert (told.number, one.position(OWN), len(one)) == (3, 2, 1)
    correct(one, 4, 7)
    one.done(told)
    (later,) = one.due(0.0)
    assert later.number == 4
    one.done(later)
    assert (one.position(OWN), one.taken) == (4, 4)


def test_corrections_of_two_transactions_are_told_apart():
    one = consumer()
    for number, transaction in enumerate((7, 8, 7), 1):
        correct(one, number, transaction)
    told = []
    for _ in range(3):
        (delivery,) = one.due(0.0)
        told.append((delivery.number, delivery.corrects))
        one.done(delivery)
    assert told == [(1, 7), (2, 8), (3, 7)]


def test_a_correction_waits_for_others_until_it_has_settled():
    one = consumer()
    correct(one, 1, 7, settled_at=5.0)
    assert (list(one.due(4.0)), one.settled_at) == ([], 5.0)
    correct(one, 2, 7, settled_at=9.0)
    assert one.settled_at == 5.0
    (told,) = one.due(5.0)
    assert (told.number, one.settled_at) == (2, None)


def test_a_correction_with_another_event_behind_it_does_not_wait():
    one = consumer()
    correct(one, 1, 7, settled_at=5.0)
    assert list(one.due(0.0)) == []
    add(one, OWN, 2, "CP1")
    (told,) = one.due(0.0)
    assert (told.number, one.settled_at) == (1, None)


def test_a_correction_that_failed_and_is_told_with_a_later_one_keeps_its_failures():
    one = consumer()
    correct(one, 1, 7)
    (first,) = one.due(0.0)
    assert one.failed(first, 0.0)
    correct(one, 2, 7)
    assert list(one.due(0.0)) == []
    one.wake("CP1")
    (again,) = one.due(DELAY_S)
    assert (again.number, again.failures) == (2, 1)
