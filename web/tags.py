"""Id tags of the store, one by one, or many at once and then all or none.

A change that was answered 200 is durable. It counts for the next Authorize; running transactions go on.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import falcon
import msgspec
from msgspec import UNSET, UnsetType

from ..config.errors import ChargehandError
from ..store.collections import tag_key
from ..store.records import Tag
from .operations import AFTER, NOT_STORED, flag, limit, operation, page, text
from .requests import Problem, Query, body_of, decoded, fault_text
from .resources import MAX_LIMIT, Resource, answer, paged, viewed
from .views import View

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..store.store import Receipt

STORE_S = 30.0
"""Seconds that the store has to keep a change."""
FAULTS_TOLD = 100

STATUSES = (
    "Accepted", "Blocked", "Expired", "Invalid", "NoCredit", "NotAllowedTypeEVSE", "NotAtThisLocation",
    "NotAtThisTime", "Unknown",
)  # fmt: skip
"""Statuses of a tag; OCPP 1.6 has the first four, and takes the others for Invalid.

ConcurrentTx is not stored: it is found at authorization.
"""
ID_TYPES = ("", "Central", "eMAID", "ISO14443", "ISO15693", "KeyCode", "Local", "MacAddress")
"""Types of a tag's token in OCPP 2.0.1; empty for any, as in OCPP 1.6, which has no types.

NoAuthorization is none: there is nobody who could be told apart.
"""
DAY = re.compile(r"(?a:\d{4}-\d\d-\d\d)")

IdToken = Annotated[str, msgspec.Meta(min_length=1, max_length=36)]  # OCPP 1.6 has up to 20 characters


class Facts(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Facts of a tag: a status in any case; an expiry, a time with its offset or a day, which is its beginning."""

    status: str = "Accepted"
    expiry: str | None = None
    parent: Annotated[str, msgspec.Meta(max_length=36)] = ""
    language: Annotated[str, msgspec.Meta(max_length=8)] = ""
    message: Annotated[str, msgspec.Meta(max_length=512)] = ""


class Row(Facts, forbid_unknown_fields=True, kw_only=True):
    """The same with its tag and the type of its token, as one of many."""

    id_tag: IdToken
    id_type: str = ""


class WrongColumn(ChargehandError, ValueError):
    """A column of a tag that is wrong; the text begins with its name."""


def tag_of(row: Row) -> Tag:
    """Make the tag of a row. Raises `WrongColumn`."""
    status = next((one for one in STATUSES if one.lower() == row.status.strip().lower()), None)
    if status is None:
        raise WrongColumn(f"status: must be one of {', '.join(STATUSES)}, not {row.status[:40]!r}")
    return Tag(
        id_tag=row.id_tag,
        status=status,
        expiry=_expiry(row.expiry),
        parent=row.parent,
        id_type=id_type_of(row.id_type),
        language=row.language,
        message=row.message,
    )


def id_type_of(given: str) -> str:
    """Return the type of a token in OCPP's spelling. Raises `WrongColumn`."""
    found = next((one for one in ID_TYPES if one.lower() == given.strip().lower()), None)
    if found is None:
        raise WrongColumn(f"id_type: must be one of {', '.join(ID_TYPES[1:])}, not {given[:40]!r}")
    return found


def _expiry(given: str | None) -> datetime | None:
    if given is None:
        return None
    try:
        at = datetime.fromisoformat(given.strip())
        if DAY.fullmatch(given.strip()):
            at = at.replace(tzinfo=UTC)
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    wanted = "a day like 2026-12-01, or a time with its offset like 2026-12-01T12:00:00Z"
    raise WrongColumn(f"expiry: must be {wanted}, not {given[:40]!r}")


class TagView(View):
    """Tag as the API also takes it."""

    id_tag: str
    status: str
    expiry: str | None
    parent: str
    id_type: str
    language: str
    message: str


class NewTags(View):
    """Tags to be entered."""

    tags: list[Row]


class Entered(View):
    """Number of the tags that were entered, or with `check=1` only looked at."""

    entered: int | UnsetType = UNSET
    checked: int | UnsetType = UNSET


def view(tag: Tag) -> TagView:
    """Show a tag."""
    return TagView(
        id_tag=tag.id_tag,
        status=tag.status,
        expiry=tag.expiry.isoformat() if tag.expiry is not None else None,
        parent=tag.parent,
        id_type=tag.id_type,
        language=tag.language,
        message=tag.message,
    )


ID_TYPE = text("id_type", "Type of its token in OCPP 2.0.1, in any case; empty for any")


class Tags(Resource):
    """`/api/v1/tags`, with `/{id_tag}` one of them."""

    @operation("listTags", "tags", query=(AFTER, limit(MAX_LIMIT)), answer=page("tags", TagView))
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List the tags, by tag and type."""
        query = Query(request, "after", "limit")
        tags = self._system.store.collections.tags
        found, paging = paged(
            tags, query, lambda tag: (tag.id_tag.lower(), tag.id_type), newest=False, default=MAX_LIMIT
        )
        answer(response, {"tags": viewed(map(view, found)), **paging})

    @operation(
        "enterTags",
        "tags",
        query=(flag("check", "Only look whether they can be entered"),),
        body=NewTags,
        answer=Entered,
        problems=NOT_STORED | {422: "One is wrong, and none was entered: `rows` says which"},
        example={"tags": [{"id_tag": "T1", "status": "Accepted", "expiry": "2027-01-01"}]},
    )
    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Enter `{"tags": [...]}`: all of them, or none if one is wrong; with `check=1` only look."""
        check = Query(request, "check").flag("check", default=False)
        tags = _tags(body_of(request))
        if not check:
            collection = self._system.store.collections.tags
            keep(collection.put(tag) for tag in tags)
        answer(response, Entered(checked=len(tags)) if check else Entered(entered=len(tags)))

    @operation("getTag", "tags", query=(ID_TYPE,), answer=TagView, problems={422: "There is no such type"})
    def on_get_one(self, request: falcon.Request, response: falcon.Response, id_tag: str) -> None:
        """Show one tag; id tags are compared without case. `id_type` is the type of its token."""
        answer(response, view(self._find(id_tag, _id_type(Query(request, "id_type")))))

    @operation(
        "enterTag",
        "tags",
        query=(ID_TYPE,),
        body=Facts,
        answer=TagView,
        problems=NOT_STORED | {422: "The body or the type is wrong"},
        example={"status": "Blocked"},
    )
    def on_put_one(self, request: falcon.Request, response: falcon.Response, id_tag: str) -> None:
        """Enter or change a tag; `id_type` is the type of its token."""
        id_type = _id_type(Query(request, "id_type"))
        facts = decoded(body_of(request) or b"{}", Facts)
        tag = _tag({"id_tag": id_tag, "id_type": id_type, **msgspec.to_builtins(facts)})
        keep([self._system.store.collections.tags.put(tag)])
        answer(response, view(tag))

    @operation(
        "removeTag",
        "tags",
        query=(ID_TYPE,),
        answer=TagView,
        problems=NOT_STORED | {422: "There is no such type"},
    )
    def on_delete_one(self, request: falcon.Request, response: falcon.Response, id_tag: str) -> None:
        """Remove a tag: it is unknown then, which may mean accepted. To refuse it, set its status to Blocked."""
        id_type = _id_type(Query(request, "id_type"))
        tag = self._find(id_tag, id_type)
        keep([self._system.store.collections.tags.remove(tag_key(id_tag, id_type))])
        answer(response, view(tag))

    def _find(self, id_tag: str, id_type: str) -> Tag:
        tag = self._system.store.collections.tags.get(tag_key(id_tag, id_type))
        if tag is None:
            raise Problem(404, "Unknown tag", f"{named(id_tag, id_type)} is not known here")
        return tag


def _id_type(query: Query) -> str:
    try:
        return id_type_of(query.text("id_type"))
    except WrongColumn as error:
        raise Problem(422, "Invalid parameter", fault_text(error)) from error


def named(id_tag: str, id_type: str) -> str:
    """Name a tag, with the type of its token if it has one."""
    return f"{id_tag} ({id_type})" if id_type else id_tag


def _tags(body: bytes) -> list[Tag]:
    told = decoded(body, dict[str, Any])
    given = told.get("tags")
    if not isinstance(given, list) or set(told) != {"tags"}:
        raise Problem(422, "Invalid tags", 'the body is to be {"tags": [...]}')
    tags: list[Tag] = []
    faults: list[dict[str, Any]] = []
    first: dict[str, int] = {}
    for number, one in enumerate(given, 1):
        try:
            tag = tag_of(msgspec.convert(one, Row))
        except (msgspec.ValidationError, WrongColumn) as error:
            faults.append({"row": number, "text": fault_text(error)})
            continue
        before = first.setdefault(tag_key(tag.id_tag, tag.id_type), number)
        if before != number:
            why = f"id_tag: {named(tag.id_tag, tag.id_type)} is in row {before}, too"
            faults.append({"row": number, "text": why})
        tags.append(tag)
    if faults:
        why = f"{len(faults)} of {len(given)} are wrong, and none was entered"
        raise Problem(422, "Invalid tags", why, rows=faults[:FAULTS_TOLD])
    return tags


def _tag(given: dict[str, Any]) -> Tag:
    try:
        return tag_of(msgspec.convert(given, Row))
    except (msgspec.ValidationError, WrongColumn) as error:
        raise Problem(422, "Invalid tag", fault_text(error)) from error


def keep(receipts: Iterable[Receipt]) -> None:
    """Wait until all is durable."""
    for receipt in list(receipts):
        receipt.wait(STORE_S)
