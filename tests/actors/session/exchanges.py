"""Commands that the tests of sessions send, and frames in a form to compare."""

from chargehand import v16

VERSION = {"listVersion": 3}


def version(stage, **options):
    """Send a request for the version of the local list, the smallest command."""
    ticket = stage.send("CP1", v16.GetLocalListVersion(), **options)
    stage.settle()
    return ticket


def taken(charge_point):
    """Return the actions of the commands sent since the last call."""
    return [frame[2] for frame in charge_point.take()]


def meaning(frame):
    """Return the payload of an answer, or the code of an error."""
    return frame[2]


def ids(frames):
    return [frame[1] for frame in frames]
