"""Tags: who may charge. One by one, or many at once and then all or none.

What is answered 200 is durable. A change counts for the next Authorize; what is charging goes on.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import falcon
import msgspec

from ..store.records import Tag
from .requests import Problem, Query, body_of, decoded
from .resources import Resource, answer, viewed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..store.store import Receipt

STORE_S = 30.0
"""Seconds that the store has to keep a change."""
FAULTS_TOLD = 100

IdToken = Annotated[str, msgspec.Meta(min_length=1, max_length=20)]  # OCPP 1.6, 7.28: CiString20Type


class Facts(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Facts of a tag. ConcurrentTx is not stored: it is found at authorization (OCPP 1.6, 7.2)."""

    status: Literal["Accepted", "Blocked", "Expired", "Invalid"] = "Accepted"
    expiry: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    parent: Annotated[str, msgspec.Meta(max_length=20)] = ""


class Row(Facts, forbid_unknown_fields=True, kw_only=True):
    """The same with its tag, as one of many."""

    id_tag: IdToken


def picture(tag: Tag) -> dict[str, Any]:
    """A tag as the API shows and takes it."""
    return {
        "id_tag": tag.id_tag,
        "status": tag.status,
        "expiry": tag.expiry.isoformat() if tag.expiry is not None else None,
        "parent": tag.parent,
    }


class Tags(Resource):
    """`/api/v1/tags`, with `/{id_tag}` one of them."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """All tags."""
        Query(request)
        answer(response, {"tags": viewed(map(picture, self._system.store.collections.tags))})

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Enter `{"tags": [...]}`: all of them, or none if one is wrong; with `check=1` only look."""
        check = Query(request, "check").flag("check", default=False)
        rows = _rows(body_of(request))
        if not check:
            book = self._system.store.collections.tags
            keep(book.put(Tag(**msgspec.structs.asdict(row))) for row in rows)
        answer(response, {"checked" if check else "entered": len(rows)})

    def on_get_one(self, request: falcon.Request, response: falcon.Response, id_tag: str) -> None:
        """Answer with one tag; id tags are compared without case."""
        Query(request)
        answer(response, picture(self._find(id_tag)))

    def on_put_one(self, request: falcon.Request, response: falcon.Response, id_tag: str) -> None:
        """Enter or change a tag."""
        Query(request)
        facts = decoded(body_of(request) or b"{}", Facts)
        row = _row({"id_tag": id_tag, **msgspec.to_builtins(facts)})
        tag = Tag(**msgspec.structs.asdict(row))
        keep([self._system.store.collections.tags.put(tag)])
        answer(response, picture(tag))

    def on_delete_one(self, request: falcon.Request, response: falcon.Response, id_tag: str) -> None:
        """Take a tag out: it is unknown then, which may well mean accepted. To keep somebody out, block it."""
        Query(request)
        tag = self._find(id_tag)
        keep([self._system.store.collections.tags.remove(id_tag.lower())])
        answer(response, picture(tag))

    def _find(self, id_tag: str) -> Tag:
        tag = self._system.store.collections.tags.get(id_tag.lower())
        if tag is None:
            raise Problem(404, "Unknown tag", f"{id_tag} is not known here")
        return tag


def _rows(body: bytes) -> list[Row]:
    told = decoded(body, dict[str, Any])
    given = told.get("tags")
    if not isinstance(given, list) or set(told) != {"tags"}:
        raise Problem(422, "Invalid tags", 'the body is to be {"tags": [...]}')
    rows, faults = [], []
    for number, one in enumerate(given, 1):
        try:
            rows.append(msgspec.convert(one, Row))
        except msgspec.ValidationError as error:
            faults.append({"row": number, "text": str(error)})
    if faults:
        text = f"{len(faults)} of {len(given)} are wrong, and none was entered"
        raise Problem(422, "Invalid tags", text, rows=faults[:FAULTS_TOLD])
    return rows


def _row(given: dict[str, Any]) -> Row:
    try:
        return msgspec.convert(given, Row)
    except msgspec.ValidationError as error:
        raise Problem(422, "Invalid tag", str(error)) from error


def keep(receipts: Iterable[Receipt]) -> None:
    """Wait until all is durable."""
    for receipt in list(receipts):
        receipt.wait(STORE_S)
