"""Plugin that fails when a test says so, and functions that use up its restart intensity."""

from chargehand import ChargePointOnline, Plugin, on, passive

from ..faults import PlantedFault

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


class FailurePlan:
    """Script of the plugin and log of its calls; outlives it."""

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
        raise PlantedFault


class FailingPlugin(Plugin):
    """Answers, or fails for the charge points of the plan."""

    def __init__(self, plan):
        super().__init__()
        self.plan = plan
        plan.made += 1

    def on_start(self):
        if not self.plan.may_start:
            raise PlantedFault("it does not start")
        self.plan.started += 1

    def handle(self, call, answer):
        self.plan.seen.append(call)
        return self.plan.how(call) if call.charge_point.id in self.plan.bad else answer

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

    @on(ChargePointOnline)
    def came(self, event):
        self.plan.online.append(event.charge_point_id)


def authorize(charge_point):
    return charge_point.call("Authorize", {"idTag": "T1"})[2]


def spend(system_harness, plan, fleet):
    """Let three charge points fail: one restart of the plugin."""
    plan.bad |= {"CP1", "CP2", "CP3"}
    for name in ("CP1", "CP2", "CP3"):
        assert authorize(fleet[name]) == "InternalError"
    system_harness.advance(1.0)  # the longest backoff


def quarantine(system_harness, plan, fleet):
    """Use up the whole restart intensity."""
    for _ in range(SUPERVISION["intensity"] + 1):
        system_harness.plugin(
            "FailingPlugin"
        ).breakers.failing.clear()  # or fallbacks would answer for the pairs
        spend(system_harness, plan, fleet)
    assert system_harness.plugin("FailingPlugin").quarantined
    plan.bad.clear()
    plan.seen.clear()
