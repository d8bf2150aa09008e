"""`/docs` in a browser: the description of the API as forms, from files of the server alone."""

import importlib.util
from collections.abc import Iterator

import pytest

from chargehand.web.docs_files import PACKAGE

from .browser import DESKTOP, Page


@pytest.fixture
def window(browser, page_server) -> Iterator[Page]:
    """Window at `/docs`, with the addresses that it asked for in `asked`."""
    page = Page(browser, page_server, DESKTOP, "light")
    page.asked = []
    page.page.on("request", lambda request: page.asked.append(request.url))
    try:
        with page.refusals():  # the description needs a token
            page.page.goto(f"{page_server.http}/docs")
            page.page.get_by_label("Token").wait_for()
        yield page
    finally:
        page.context.close()
    assert not page.problems, page.problems


@pytest.mark.skipif(importlib.util.find_spec(PACKAGE) is None, reason="swagger-ui-bundle-v2 is not installed")
def test_the_operations_are_shown_and_tried_with_nothing_from_elsewhere(window):
    page = window.page
    page.get_by_label("Token").fill(window.server.token)
    page.get_by_role("button", name="Show").click()
    page.locator(".opblock-summary-path", has_text="/api/v1/counters").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    page.locator(".live-responses-table .response-col_status", has_text="200").first.wait_for()
    assert [url for url in window.asked if not url.startswith((window.server.http, "data:", "blob:"))] == []
