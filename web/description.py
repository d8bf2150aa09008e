"""`/api/v1/openapi.json`: the description of the API, made in a native thread when somebody first asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gevent import get_hub

from .operations import operation
from .requests import Query
from .resources import Resource
from .views import JSON

if TYPE_CHECKING:
    from collections.abc import Callable

    import falcon

    from ..system.central_system import CentralSystem


class Description(Resource):
    """`/api/v1/openapi.json`; `make` makes it, encoded."""

    def __init__(self, system: CentralSystem, make: Callable[[], bytes]) -> None:
        super().__init__(system)
        self._make = make
        self._made = b""

    @operation("getDescription", "operation", answer=dict[str, Any])
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Show this description, OpenAPI 3.1."""
        Query(request)
        if not self._made:
            self._made = get_hub().threadpool.apply(self._make)
        response.data = self._made
        response.content_type = JSON
