"""`/docs`: the description of the API as a page, with Swagger UI from a Python package (the extra `docs`).

The one rule: everything comes from this server. Without the package the page is a plain list; like the operator's page
it holds nothing secret, and the description needs a token or a login.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gevent import get_hub

from .page_files import HEADERS, INDEX, TYPES, PageFile
from .resources import READ

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import falcon

FOLDER: Final = Path(__file__).parent / "docs"
PACKAGE: Final = "swagger_ui_bundle"
"""Package with the files of Swagger UI as npm has them."""
ASSETS: Final = ("swagger-ui-bundle.js", "swagger-ui.css")
DOCS: Final = "/docs"
DOCS_HEADERS: Final = HEADERS | {
    # Swagger UI sets styles of elements, and has its icons in the style sheet; it makes nodes out of texts by itself.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}


class DocsFile:
    """File of the page, read in a native thread when it is first asked for: some are large, and few look at them.

    Without a path it is empty.
    """

    reads = changes = READ

    def __init__(self, name: str, path: Path | None) -> None:
        self._name = name
        self._path = path
        self._file: PageFile | None = None

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Answer with the file, or 304 to a browser that has it."""
        if self._file is None:
            self._file = get_hub().threadpool.apply(self._read)
        self._file.on_get(request, response)

    on_head = on_get

    def _read(self) -> PageFile:
        data = b"" if self._path is None else self._path.read_bytes()
        return PageFile(Path(self._name), DOCS_HEADERS, data)


def docs_files() -> Mapping[str, DocsFile]:
    """Find the files of the page; the keys are their paths."""
    names = sorted(path.name for path in FOLDER.iterdir() if path.suffix in TYPES)
    own = {name: DocsFile(name, FOLDER / name) for name in names}
    found = {DOCS if name == INDEX else f"{DOCS}/{name}": file for name, file in own.items()}
    assets = dict(_assets())
    return found | {f"{DOCS}/{name}": DocsFile(name, assets.get(name)) for name in ASSETS}


def _assets() -> Iterator[tuple[str, Path]]:
    """Yield the files of Swagger UI, if the package is installed; it is not imported."""
    spec = find_spec(PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        for name in ASSETS:
            for path in sorted(Path(folder).glob(f"vendor/swagger-ui-*/{name}")):
                yield name, path
