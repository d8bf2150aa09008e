"""The operator's page in a browser: login, frame, fleet."""

import re
from collections.abc import Iterator

import pytest

from .browser import DESKTOP, PHONE, Page, faults_for_everybody
from .stations import station

MANY = """
const rows = Array.from({length: 10000}, (_, number) => ({
  id: `PG-MANY-${String(number).padStart(5, "0")}`, name: "", version: "1.6", connected: true, connected_at: null,
  disconnected_at: null, peer: "", secure: false, registration: "Accepted", vendor: "", model: "", firmware: "",
  serial_numbers: [], flags: [], heard_at: null, node: "", worker: null, power_w: 11000,
  connectors: [
    {evse: 1, connector: 1, status: number % 10 === 9 ? "Faulted" : "Charging", error: "", since: null, info: ""},
  ],
}));
const asked = window.fetch;
window.fetch = (path, options) => {
  if (!String(path).startsWith("api/v1/charge-points?")) return asked(path, options);
  const query = new URLSearchParams(path.split("?")[1]);
  const ids = query.get("ids")?.split(",");
  const found = rows.filter((row) => row.id > (query.get("after") || "") && (!ids || ids.includes(row.id)));
  const page = found.slice(0, Number(query.get("limit")));
  const more = found.length > page.length;
  const next = more ? page[page.length - 1].id : null;
  return Promise.resolve(new Response(JSON.stringify({charge_points: page, more, next, unanswered: []})));
};
"""
"""Script that gives the page ten thousand charge points, of which one in ten is faulted."""


@pytest.fixture
def window(browser, page_server) -> Iterator[Page]:
    """Window at the login."""
    page = Page(browser, page_server, DESKTOP, "light")
    try:
        page.page.goto(f"{page_server.http}/")
        yield page
    finally:
        page.context.close()
    assert not page.problems


def test_a_wrong_token_is_refused_and_the_right_one_leads_to_the_fleet(window):
    page = window.page
    with window.refusals():
        page.get_by_label("Token").fill("wrong")
        page.get_by_role("button", name="Log in").click()
        page.get_by_text("the token is wrong").wait_for()
    page.get_by_label("Token").fill(window.server.token)
    page.keyboard.press("Enter")
    page.get_by_role("grid", name="Charge points").wait_for()
    assert page.url.endswith("#/fleet")
    assert page.title() == "Fleet · chargehand"
    (cookie,) = window.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    page.reload()
    page.get_by_role("grid", name="Charge points").wait_for()


def test_logging_out_in_one_window_ends_the_other(visit):
    one = visit()
    other = one.context.new_page()
    other.goto(f"{one.server.http}/")
    other.get_by_text("Live", exact=True).wait_for()
    with one.refusals():
        one.page.get_by_role("button", name="Log out").click()
        one.page.get_by_label("Token").wait_for()
        other.get_by_text("Your login has ended.").wait_for()


def test_a_station_is_seen_as_it_boots_charges_and_leaves(visit, page_server):
    page = visit("fleet?q=PG-LIVE").page
    for ocpp, word in (("1.6", "Charging"), ("2.0.1", "Occupied")):
        id_ = f"PG-LIVE-{ocpp}"
        with station(page_server, id_, "--ocpp", ocpp):
            row = page.get_by_role("row", name=re.compile(id_))
            row.get_by_text(word).wait_for()
            row.get_by_text(ocpp, exact=True).wait_for()
        row.get_by_text("Offline").wait_for()


def test_search_filters_and_order_are_in_the_address(visit, page_server):
    for number in range(3):
        page_server.ask("PUT", f"/api/v1/charge-points/PG-ORDER-{number}", {"registration": "Accepted"})
    page = visit().page
    page.get_by_role("searchbox").fill("pg-order")
    page.get_by_text(re.compile("^3 of ")).wait_for()
    page.get_by_role("button", name="Offline").click()
    page.get_by_role("button", name="Charge point", exact=True).click()
    assert "q=pg-order" in page.url
    assert "state=Offline" in page.url
    address = page.url
    other = page.context.new_page()
    other.goto(address)
    other.get_by_text(re.compile("^3 of ")).wait_for()
    other.get_by_role("row").nth(3).wait_for()
    ids = [row.get_attribute("data-key") for row in other.locator(".table-body .table-row").all()]
    assert sorted(ids) == [f"PG-ORDER-{number}" for number in range(3)]
    other.get_by_role("columnheader", name="Charge point").and_(
        other.locator("[aria-sort=descending]")
    ).wait_for()


def test_of_ten_thousand_only_the_rows_that_are_seen_are_drawn(window):
    page = window.page
    page.add_init_script(MANY)
    window.log_in()
    page.get_by_text("10,000 charge points").wait_for()
    page.get_by_role("button", name="1,000 Faulted").wait_for()
    page.locator("[data-key=PG-MANY-00000]").focus()
    page.keyboard.press("End")
    page.locator("[data-key=PG-MANY-09999]").get_by_text("Faulted").wait_for()
    assert page.locator(".table-body .table-row").count() < 60
    page.get_by_role("button", name="1,000 Faulted").click()
    page.get_by_text("1,000 of 10,000").wait_for()


def test_the_fleet_is_walked_by_keys(visit, page_server):
    for number in range(3):
        page_server.ask("PUT", f"/api/v1/charge-points/PG-KEYS-{number}", {"registration": "Accepted"})
    page = visit("fleet?q=PG-KEYS").page
    page.locator("[data-key=PG-KEYS-0]").focus()
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.dataset.key") == "PG-KEYS-1"
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement.dataset.key") == "PG-KEYS-2"
    page.keyboard.press(" ")
    page.get_by_text("1 selected").wait_for()
    page.keyboard.press("Enter")
    page.wait_for_url("**/#/charge-points/PG-KEYS-2")


def test_a_command_to_many_shows_how_it_goes_on(visit, page_server):
    with station(page_server, "PG-BULK-1"), station(page_server, "PG-BULK-2"):
        page = visit("fleet?q=PG-BULK").page
        page.get_by_role("row", name=re.compile("PG-BULK-2.*Charging")).wait_for()
        page.get_by_role("row", name=re.compile("PG-BULK-1.*Charging")).wait_for()
        page.get_by_label("Select all rows").check()
        page.get_by_role("button", name="Send a command").click()
        page.get_by_label("Command", exact=True).select_option("trigger")
        page.get_by_label("Message").fill("Heartbeat")
        page.get_by_role("button", name="Send", exact=True).click()
        page.get_by_text("2 of 2 ended, 2 well").wait_for()


def test_a_token_that_may_only_read_has_no_way_to_send(visit, page_server):
    made = page_server.ask("POST", "/api/v1/tokens", {"name": "page-reader", "scope": "read"}).json["token"]
    page_server.ask("PUT", "/api/v1/charge-points/PG-READ", {"registration": "Accepted"})
    page = visit("fleet?q=PG-READ", token=made).page
    page.get_by_text("page-reader · read").wait_for()
    page.get_by_role("row", name=re.compile("PG-READ")).wait_for()
    assert page.get_by_role("checkbox").count() == 0


def test_the_menu_of_a_phone_opens_and_closes(visit):
    page = visit(size=PHONE).page
    menu = page.get_by_role("button", name="Menu")
    menu.click()
    page.get_by_role("link", name="Fleet").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Fleet").wait_for(state="hidden")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]


def test_the_theme_follows_the_system_until_one_is_chosen(visit):
    page = visit(theme="dark").page
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    dark = page.evaluate(ground)
    page.get_by_role("button", name="Theme: auto").click()
    page.get_by_role("button", name="Theme: light").wait_for()
    assert page.evaluate(ground) != dark
    page.reload()
    page.get_by_role("button", name="Theme: light").wait_for()


@pytest.mark.parametrize(("size", "theme"), [(DESKTOP, "dark"), (PHONE, "light")], ids=["desktop", "phone"])
def test_nothing_serious_keeps_anybody_from_using_the_fleet(visit, page_server, size, theme):
    with station(page_server, "PG-AXE"):
        visited = visit("fleet?q=PG-AXE", size=size, theme=theme)
        visited.page.get_by_role("row", name=re.compile("PG-AXE.*Charging")).wait_for()
        assert faults_for_everybody(visited.page) == []
