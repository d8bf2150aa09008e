"""The central system inside an application: a plugin, a charge point, and a command to it.

Run it:    python examples/embedded.py
Nothing is patched and nothing global is touched; the charge point here is the simulator's.
"""

from chargehand import Call, CentralSystem, Plugin, Settings, passive, v16
from chargehand.simulator import ChargePoint


class Tags(Plugin):
    """Accepts the tags that it was made with."""

    def __init__(self, known: frozenset[str]) -> None:  # runs again at each restart
        super().__init__()
        self.known = known

    @passive(v16.Authorize)
    def authorize(self, call: Call[v16.Authorize]) -> dict[str, object]:
        """Answer with a mapping: it is checked like a typed response."""
        return {"idTagInfo": {"status": "Accepted" if call.request.id_tag in self.known else "Invalid"}}


def main() -> None:
    """Serve one charge point, and tell it to start charging."""
    with CentralSystem(Settings(port=0), plugins=[Tags.spec(known=frozenset({"T1"}))]) as system:
        with ChargePoint(f"ws://127.0.0.1:{system.port}/ocpp/", "CP1") as charge_point:
            for tag in ("T1", "T9"):
                answer = charge_point.send(v16.Authorize(id_tag=tag))
                print(tag, answer.id_tag_info.status)

            ticket = system.send("CP1", v16.RemoteStartTransaction(id_tag="T1", connector_id=1), timeout_s=30)
            print("remote start:", ticket.result().status)  # always ends: with the response, or a TicketError
        print("a charge point that is not there:", system.send("CP2", v16.ClearCache()).state)


if __name__ == "__main__":
    main()
