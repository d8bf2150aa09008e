"""A plugin for the plugin host of compose.yaml, to be replaced by your own: it greets a charge point's DataTransfer."""

from chargehand import Call, Plugin, passive, v16


class Greeting(Plugin):
    """Answers DataTransfer, and nothing else."""

    @passive(v16.DataTransfer)
    def greet(self, call: Call[v16.DataTransfer]) -> v16.DataTransferResponse:
        """Accept it, and answer with a greeting."""
        return v16.DataTransferResponse(
            status=v16.DataTransferStatus.ACCEPTED, data=f"hello {call.charge_point.id}"
        )
