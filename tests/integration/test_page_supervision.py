"""The operator's page in a browser: a crash, a quarantine and its release, tokens; on a server with a faulty plugin."""

import re
from contextlib import ExitStack

import pytest

from .browser import DESKTOP, PHONE, Page, faults_for_everybody
from .rawsocket import RawSocket
from .test_operations import CONFIG, FAULTY


def test_a_crash_and_a_quarantine_are_seen_and_the_plugin_is_released(browser, start_server, tmp_path):
    (tmp_path / "faulty.py").write_text(FAULTY)
    config = CONFIG.replace("intensity = 0", "intensity = 1")
    server = start_server("--plugin", "faulty:Tags", config=config, python_path=tmp_path)
    window = Page(browser, server, DESKTOP, "light")
    try:
        window.log_in()
        page = window.go("supervision")
        with ExitStack() as stack:
            charge_points = [
                stack.enter_context(RawSocket.open(f"{server.ws}CP{number}").boot()) for number in range(1, 7)
            ]
            one = charge_points[0]
            assert one.call("DataTransfer", {"vendorId": "crash"})[0] == 4
            crashes = page.get_by_role("region", name="Crashes")
            crashes.get_by_text(re.compile("CP1.*planted")).click()
            crashes.get_by_text(re.compile("DataTransfer.*crash")).first.wait_for()
            tree = page.get_by_role("region", name="Tree")
            tree.get_by_text("1 restarts").first.wait_for()
            for raw in charge_points:
                raw.call("Authorize", {"idTag": "T1"})
                raw.call("Authorize", {"idTag": "T2"})
            plugins = page.get_by_role("region", name="Plugins")
            plugins.get_by_role("row", name=re.compile("Tags")).get_by_text("quarantine").wait_for()
            page.get_by_role("alert").get_by_text(re.compile("Tags is in quarantine")).wait_for()
            (tmp_path / "mended").touch()
            plugins.get_by_role("button", name="Release").click()
            page.get_by_text("Tags is back in service.").wait_for()
            plugins.get_by_role("row", name=re.compile("Tags")).get_by_text("running").wait_for()
            assert one.call("Authorize", {"idTag": "T1"})[2] == {"idTagInfo": {"status": "Accepted"}}
    finally:
        window.context.close()
    assert not window.problems


def test_a_token_is_made_shown_once_and_revoked_with_its_logins(visit, page_server):
    page = visit("system").page
    page.get_by_role("button", name="Add…").click()
    page.get_by_label("Name").fill("ps-night-shift")
    page.get_by_role("button", name="Make it").click()
    token = page.get_by_role("dialog").locator("pre").inner_text()
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    other = visit("fleet", token=token)
    other.page.get_by_text("Live", exact=True).wait_for()
    with other.refusals():
        row = page.get_by_role("listitem").filter(has_text="ps-night-shift")
        row.get_by_role("button", name="Revoke").click()
        page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
        other.page.get_by_text("Your login has ended.").wait_for()
    assert token not in page.content()


def test_the_system_tells_rates_settings_and_changes(visit, page_server):
    page_server.ask("PUT", "/api/v1/charge-points/PS-AUDIT", {"registration": "Accepted"})
    page = visit("system").page
    page.get_by_role("region", name="Rates").get_by_text(re.compile(r"\d a second")).wait_for()
    page.get_by_role("region", name="Rates").get_by_text("Store's size").wait_for()
    page.get_by_role("region", name="Limits that were hit").get_by_role("heading").wait_for()
    page.get_by_role("region", name="Consumers of events").get_by_role("heading").wait_for()
    page.get_by_text("/api/v1/charge-points/PS-AUDIT").first.wait_for()
    page.get_by_role("cell", name="sessions.queue_limit").wait_for()
    assert page_server.token not in page.content()


def test_a_token_for_reading_sees_neither_settings_nor_changes(visit, page_server):
    made = page_server.ask("POST", "/api/v1/tokens", {"name": "ps-reader", "scope": "read"}).json
    page = visit("system", token=made["token"]).page
    page.get_by_role("region", name="Rates").get_by_text("Version").wait_for()
    assert not page.get_by_role("region", name="Settings").is_visible()
    assert not page.get_by_role("region", name="Changes").is_visible()


@pytest.mark.parametrize(("size", "theme"), [(DESKTOP, "dark"), (PHONE, "light")], ids=["desktop", "phone"])
def test_nothing_serious_keeps_anybody_from_using_these(visit, size, theme):
    visited = visit("supervision", size=size, theme=theme)
    for place, text in (("supervision", "root"), ("system", "Tokens")):
        page = visited.go(place)
        page.get_by_text(text, exact=True).first.wait_for()
        assert faults_for_everybody(page) == [], place
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0], place
