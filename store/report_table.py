"""Reports of stations in a database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .reports import ReportPart
from .rows import Kind, row, text, time

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .store import Receipt
    from .writer import Writer

FACTS = (
    "charge_point, report, action, request_id, seq_no, last, received_at, version, size_bytes, digest, cut"
)
OF_CHARGE_POINT = f"SELECT {FACTS} FROM report_parts WHERE charge_point = ? ORDER BY number"  # noqa: S608
OF_REPORT = f"SELECT {FACTS}, payload FROM report_parts WHERE charge_point = ? AND report = ? ORDER BY number"  # noqa: S608


class ReportTable:
    """Parts of reports, a row each; `ask(query, *values)` reads rows and switches greenlets."""

    def __init__(self, writer: Writer, ask: Callable[..., list[Any]]) -> None:
        self._writer = writer
        self._ask = ask

    def add(self, part: ReportPart) -> Receipt:
        """Store a part; one that comes again is stored once."""
        values = row(
            part.charge_point_id, part.number, part.action, part.request_id, part.seq_no, int(part.last),
            text(part.received_at), part.version, part.size_bytes, part.digest, int(part.cut), part.payload,
        )  # fmt: skip
        return self._writer.append(Kind.REPORT_PART, values)

    def parts(self, charge_point_id: str, number: int | None = None) -> Sequence[ReportPart]:
        """Return the parts of the reports of a charge point, or those of one report with their payloads."""
        if number is None:
            return [_part_of(values) for values in self._ask(OF_CHARGE_POINT, charge_point_id)]
        return [_part_of(values) for values in self._ask(OF_REPORT, charge_point_id, number)]

    def forget(self, charge_point_id: str, numbers: Sequence[int]) -> Receipt:
        """Delete reports for good."""
        receipt = self._writer.append(Kind.BARRIER, ())
        for one in numbers:
            receipt = self._writer.append(Kind.REPORT_FORGET, row(charge_point_id, one))
        return receipt


def _part_of(values: Sequence[Any]) -> ReportPart:
    """Make a part out of the columns of `FACTS`, and its payload if there is one."""
    return ReportPart(
        charge_point_id=values[0],
        number=values[1],
        action=values[2],
        request_id=int(values[3]),
        seq_no=None if values[4] is None else int(values[4]),
        last=bool(values[5]),
        received_at=time(values[6]),
        version=values[7],
        size_bytes=values[8],
        digest=values[9],
        cut=bool(values[10]),
        payload=values[11] if len(values) > FACTS.count(",") + 1 else b"",
    )
