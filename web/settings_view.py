"""Settings of the server over HTTP, without their secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from ..config.rendering import shown
from .operations import operation
from .requests import Query
from .resources import ADMIN, Resource, answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    import falcon


class SettingsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Settings by their names, such as `sessions.queue_limit`; a secret is `***`."""

    settings: dict[str, Any]


class SettingsResource(Resource):
    """`/api/v1/settings`."""

    reads = ADMIN

    @operation("getSettings", "system", answer=SettingsAnswer)
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Show the settings that this process runs with, those with their default values too."""
        Query(request)
        answer(response, SettingsAnswer(settings=dict(_flat(shown(self._system.settings), ""))))


def _flat(section: Mapping[str, Any], before: str) -> Iterator[tuple[str, Any]]:
    for key, value in section.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value
