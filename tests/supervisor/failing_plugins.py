"""A plugin that fails when a test says so, and how its whole budget is spent."""

from chargehand import Plugin, on_online, passive

ACCEPTED = {"idTagInfo": {"status": "Accepted"}}
NAMES = ("CP1", "CP2", "CP3", "CP4")
SUPERVISION = {
    "handler_failures": 3,
    "failing_charge_points": 3,
    "failure_window_s": 60.0,
    "trial_call_s": 30.0,
    "intensity": 2,
    "period_s": 100.0,
    "backoff_min_s": 1.0,
    "backoff_max_s": 1.0,
    "quarantine_s": 50.0,
    "redelivery_delay_s": 1.0,
    "redelivery_delay_max_s": 20.0,
}


class Planted(Exception):
    """A fault of a handler's."""


class Story:
    """What the plugin does, and what it was asked; outlives it."""

    def __init__(self):
        self.made = 0
        self.started = 0
        self.may_start = True
        self.seen = []
        self.online = []
        self.bad = set()  # charge points whose calls fail
        self.how = self.raise_

    @staticmethod
    def raise_(_):
        raise Planted


class Moody(Plugin):
    """Answers, or fails for those that the story says."""

    def __init__(self, story):
        super().__init__()
        self.story = story
        story.made += 1

    def on_start(self):
        if not self.story.may_start:
            raise Planted("it does not start")
        self.story.started += 1

    def handle(self, call, answer):
        self.story.seen.append(call)
        return self.story.how(call) if call.charge_point.id in self.story.bad else answer

    @passive("Authorize")
    def authorize(self, call):
        return self.handle(call, ACCEPTED)

    @passive("Heartbeat")
    def heartbeat(self, call):
        return self.handle(call, {"currentTime": "2030-01-01T00:00:00Z"})

    @passive("StartTransaction")
    def start_transaction(self, call):
        return self.handle(call, {**ACCEPTED, "transactionId": call.transaction_id})

    @passive("StopTransaction")
    def stop_transaction(self, call):
        return self.handle(call, {})

    @passive("MeterValues")
    def meter_values(self, call):
        return self.handle(call, {})

    @on_online
    def came(self, charge_point):
        self.story.online.append(charge_point.id)


def authorize(charge_point):
    return charge_point.call("Authorize", {"idTag": "T1"})[2]


def spend(ward, story, fleet):
    """Let three charge points fail: one restart of the plugin."""
    story.bad |= {"CP1", "CP2", "CP3"}
    for name in ("CP1", "CP2", "CP3"):
        assert authorize(fleet[name]) == "InternalError"
    ward.advance(1.0)  # the longest backoff


def quarantine(ward, story, fleet):
    """Spend the whole budget."""
    for _ in range(SUPERVISION["intensity"] + 1):
        ward.plugin("Moody").breakers.failing.clear()  # or fallbacks would answer for the pairs
        spend(ward, story, fleet)
    assert ward.plugin("Moody").quarantined
    story.bad.clear()
    story.seen.clear()
