"""Parts that the messages of verbs are made of: words, id tokens, ids of transactions.

The one rule: what OCPP 2.0.1 has no word for is refused.
"""

from enum import StrEnum
from typing import Any, NoReturn

from ..verbs import VerbRefused
from .types import IdToken, IdTokenType


def refuse(text: str) -> NoReturn:
    """Refuse a verb."""
    raise VerbRefused(f"OCPP 2.0.1: {text}")


def word(kind: type[StrEnum], text: str, what: str) -> Any:
    """Find the word of an enumeration, in any case; None for an empty text."""
    if not text:
        return None
    found = {str(one).lower(): one for one in kind}.get(text.lower())
    if found is None:
        refuse(f"{what} is one of {', '.join(kind)}, not {text!r}")
    return found


def token(text: str, kind: str = "") -> IdToken:
    """Make an id token; without a kind one that the central system has made."""
    known = {one.lower(): one for one in IdTokenType}
    found = known.get(kind.lower()) if kind else IdTokenType.CENTRAL
    if found is None:
        refuse(f"the kind of an id token is one of {', '.join(IdTokenType)}, not {kind!r}")
    return IdToken(id_token=text, type=found)


def transaction(transaction_id: int | str) -> str:
    """Return the id of a transaction as a station writes it."""
    text = str(transaction_id)
    if not text:
        refuse("a transaction has an id")
    return text
