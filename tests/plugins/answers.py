"""Answers of the back office, as its tests read them."""


def answer(charge_point, action, payload, unique_id=""):
    """Send a call that is answered with a CALLRESULT; return its payload."""
    kind, _, payload = charge_point.call(action, payload, unique_id)
    assert kind == 3
    return payload
