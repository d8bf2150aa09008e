"""Headless Chromium of the system, driven by playwright, and the operator's page in it.

Rule: a test of the page does what a person does, by roles and names; it waits for what is to be seen, never for a time.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, Self

import pytest

from .server import Server

WAIT_MS = 30_000
DESKTOP, PHONE = (1440, 900), (390, 844)
PICTURES = "PAGE_PICTURES"
"""Variable of the environment with the folder for the documentation's pictures; without it none are made."""
AXE = Path(__file__).parents[2] / ".venv/npm/node_modules/axe-core/axe.min.js"
EXPECTED = "Failed to load resource: the server responded with a status of"


class NoBrowser(Exception):
    """Chromium or playwright is not installed."""


class Browser:
    """Chromium, started once for all tests."""

    def __init__(self) -> None:
        path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        if path is None:
            raise NoBrowser("no Chromium is installed (Debian's package chromium)")
        try:
            from playwright.sync_api import sync_playwright  # noqa: PLC0415 - it may not be there
        except ImportError:
            raise NoBrowser("playwright is not installed") from None
        self._playwright = sync_playwright().start()
        flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--lang=en-GB"]
        self.chromium = self._playwright.chromium.launch(executable_path=path, args=flags)

    def __enter__(self) -> Self:
        return self

    def window(self, server: Server, size: tuple[int, int], theme: str) -> "Page":
        """Open a window with the page of a server."""
        return Page(self, server, size, theme)

    def __exit__(self, *_: object) -> None:
        self.chromium.close()
        self._playwright.stop()


class Page:
    """The operator's page in a window of its own. `problems` are errors of its console."""

    def __init__(self, browser: Browser, server: Server, size: tuple[int, int], theme: str) -> None:
        self.server = server
        self.problems: list[str] = []
        self._expected = 0
        self.context = browser.chromium.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme=theme,
            locale="en-GB",
            timezone_id="Europe/Berlin",
        )
        self.context.set_default_timeout(WAIT_MS)
        self.page = self.context.new_page()
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))

    def _note(self, message: Any) -> None:
        if message.type == "error" and not (message.text.startswith(EXPECTED) and self._expected):
            self.problems.append(message.text)

    @contextlib.contextmanager
    def refusals(self) -> Iterator[None]:
        """Expect answers of 4xx inside the `with`: browsers write them on the console."""
        self._expected += 1
        try:
            yield
        finally:
            self._expected -= 1

    def log_in(self, token: str | None = None) -> None:
        """Log in with the token of the server, or another one."""
        self.page.goto(f"{self.server.http}/")
        self.page.get_by_label("Token").fill(token or self.server.token)
        self.page.get_by_role("button", name="Log in").click()
        self.page.wait_for_selector("#nav", state="attached")

    def go(self, place: str) -> Any:
        """Go to a place of the page; returns the whole page."""
        self.page.goto(f"{self.server.http}/#/{place}")
        self.page.locator("main > :first-child").wait_for()
        return self.page

    def picture(self, name: str) -> None:
        """Take a picture for the documentation, if that is wanted."""
        folder = os.environ.get(PICTURES)
        if folder:
            made = self.page.screenshot(animations="disabled")
            Path(folder, f"{name}.png").write_bytes(made)

    def close(self) -> None:
        """Close the window, and assert that nothing was on its console."""
        self.context.close()
        assert not self.problems, self.problems


class Visit(Protocol):
    """Opens the operator's page at a place, in a window of a size and a theme."""

    def __call__(
        self,
        place: str = "fleet",
        *,
        size: tuple[int, int] = DESKTOP,
        theme: str = "light",
        token: str | None = None,
    ) -> Page: ...


def visiting(browser: Browser, server: Server) -> Iterator[Visit]:
    """Yield a factory of windows; all are closed, and their consoles looked at."""
    pages: list[Page] = []

    def visit(
        place: str = "fleet",
        *,
        size: tuple[int, int] = DESKTOP,
        theme: str = "light",
        token: str | None = None,
    ) -> Page:
        page = Page(browser, server, size, theme)
        pages.append(page)
        page.log_in(token)
        page.go(place)
        return page

    try:
        yield visit
    except BaseException:
        for page in pages:
            page.context.close()
        raise
    for page in pages:
        page.close()


def faults_for_everybody(page: Any) -> list[Any]:
    """List what axe finds that keeps somebody from using a page; the test is skipped where there is no axe."""
    if not AXE.exists():
        pytest.skip("axe-core is not installed (npm install --prefix .venv/npm axe-core@4)")
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        (one["id"], node["target"], node.get("failureSummary", ""))
        for one in found["violations"]
        for node in one["nodes"]
        if one["impact"] in ("serious", "critical")
    ]
