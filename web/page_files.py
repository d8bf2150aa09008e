"""Files of the operator's page: HTML, styles and ES modules of this package, in memory, with a policy for the browser.

The one rule: the page holds nothing secret and does nothing that a token cannot; its files are for everybody who may
reach the port, its data comes from the HTTP API.
"""

from __future__ import annotations

import gzip
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Final

import falcon

from .resources import READ

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER: Final = Path(__file__).parent / "page"
INDEX: Final = "index.html"
TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""Types of the page's files by suffix; the folder has no others."""
HEADERS: Final = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
        "trusted-types 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Vary": "Accept-Encoding",
}
"""Headers of every file: nothing from elsewhere, no script but the page's own files, no frame around it."""
DIGEST_BYTES = 12


class PageFile:
    """File of the page; it is read once, when the application is made."""

    reads = changes = READ

    def __init__(self, path: Path, headers: Mapping[str, str] = HEADERS, data: bytes | None = None) -> None:
        self._type = TYPES[path.suffix]
        self._headers = headers
        self._data = path.read_bytes() if data is None else data
        self._packed = gzip.compress(self._data, mtime=0)
        self._tag = blake2b(self._data, digest_size=DIGEST_BYTES).hexdigest()

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Answer with the file, or 304 to a browser that has it."""
        for name, value in self._headers.items():
            response.set_header(name, value)
        response.etag = self._tag
        if any(tag in {"*", self._tag} for tag in request.if_none_match or ()):
            response.status = falcon.HTTP_304
            return
        response.content_type = self._type
        packed = "gzip" in (request.get_header("Accept-Encoding") or "")
        if packed:
            response.set_header("Content-Encoding", "gzip")
        response.data = self._packed if packed else self._data

    on_head = on_get


def page_files(folder: Path = FOLDER) -> Mapping[str, PageFile]:
    """Read all files of the page; the keys are their paths, `/` for the page itself."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix in TYPES:
            name = path.relative_to(folder).as_posix()
            found["/" if name == INDEX else f"/page/{name}"] = PageFile(path)
    return found
