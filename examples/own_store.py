"""A store of one's own: the one in memory, with a file in which every end of a transaction is a line.

Run it:    python examples/own_store.py
A charge point has its answer only when the receipt of the store says that the record is durable.
"""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import gevent
import msgspec

from chargehand import CentralSystem, MemoryStore, Receipt, Settings, Transaction
from chargehand.simulator import ChargePoint


class JournalStore(MemoryStore):
    """Store that writes ends of transactions into a file, on the disk before the charge point is answered."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("ab")

    def stop_transaction(self, transaction: Transaction) -> Receipt:
        """Store the end, and settle the receipt when its line is on the disk."""
        known = super().stop_transaction(transaction)
        if known.error is not None:
            return known
        receipt = Receipt()
        gevent.spawn(self._write, msgspec.json.encode(transaction) + b"\n", receipt)
        return receipt

    def _write(self, line: bytes, receipt: Receipt) -> None:
        error = gevent.get_hub().threadpool.apply(self._to_disk, (line,))  # a disk may take its time
        receipt.settle(error)

    def _to_disk(self, line: bytes) -> Exception | None:
        try:
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            return error  # the charge point is not answered, and sends again
        return None

    def close(self) -> None:
        """Close the file too."""
        super().close()
        self._file.close()


def main() -> None:
    """Charge once, and show the line."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "ends.jsonl"
        with (
            CentralSystem(Settings(port=0), store=JournalStore(path)) as system,
            ChargePoint(f"ws://127.0.0.1:{system.port}/ocpp/", "CP1") as charge_point,
        ):
            charge_point.boot()
            charge_point.plug_in()
            charge_point.start("T1")
            charge_point.meter(wh=1500)
            charge_point.stop()
        (line,) = path.read_bytes().splitlines()
        ended = msgspec.json.decode(line)
        print(ended["charge_point_id"], ended["id_tag"], ended["meter_stop"] - ended["meter_start"], "Wh")


if __name__ == "__main__":
    main()
