"""The operator's page in a browser: transactions with their curves, tags, reservations, keys, local lists."""

import csv
import datetime as dt
import io
import re
from pathlib import Path

import pytest

from .browser import DESKTOP, PHONE, faults_for_everybody
from .process import until
from .stations import charged, station


def downloaded(page, name):
    """Press a button that gives a file; return its text."""
    with page.expect_download() as given:
        page.get_by_role("button", name=name).click()
    return Path(given.value.path()).read_text()


def test_a_transaction_is_found_by_filters_and_exported(visit, page_server):
    with charged(page_server, "PR-FIND", samples=3) as charge_point:
        charge_point.stop()
        page = visit("transactions").page
        page.get_by_role("searchbox", name="Charge point").fill("PR-FIND")
        row = page.get_by_role("row", name=re.compile(f"{charge_point.transaction_id}.*PR-FIND"))
        row.get_by_text("Ended").wait_for()
        page.wait_for_url("**charge_point=PR-FIND*")
        (line,) = csv.DictReader(io.StringIO(downloaded(page, "Export CSV")))
        assert (line["charge_point"], line["energy_wh"]) == (
            "PR-FIND",
            str(round(charge_point.meter_wh) - 1_250_000),
        )
        page.get_by_label("Which").select_option("open")
        page.get_by_text("No transaction.").wait_for()


def test_a_transaction_comes_into_the_list_as_it_starts(visit, page_server):
    page = visit("transactions?charge_point=PR-LIVE").page
    page.get_by_text("No transaction.").wait_for()
    with station(page_server, "PR-LIVE"):
        page.get_by_role("row", name=re.compile("PR-LIVE")).get_by_text("Charging").wait_for()


def test_the_curves_of_a_transaction_are_drawn_and_grow_with_each_reading(visit, page_server):
    with charged(page_server, "PR-CURVE") as charge_point:
        visited = visit(f"transactions/{charge_point.transaction_id}")
        page = visited.page
        drawing = page.get_by_role("img", name=re.compile("Curves of transaction"))
        drawing.wait_for()
        for title in ("Power", "Current (L1, L2, L3)", "State of charge", "Energy"):
            drawing.get_by_text(title, exact=True).wait_for()
        charge_point.reading(dt.datetime.now(dt.UTC), 22_222)
        page.get_by_text("22.2 kW").first.wait_for()
        drawing.focus()
        page.keyboard.press("Home")
        page.locator(".chart-readout").get_by_text("20.0 kW").wait_for()
        (first, *_) = csv.DictReader(io.StringIO(downloaded(page, "Export CSV")))
        assert first["measurand"] == "Energy.Active.Import.Register"


def test_power_is_derived_where_only_the_meter_was_read(visit, page_server):
    for ocpp in ("1.6", "2.0.1"):
        with station(page_server, f"PR-METER-{ocpp}", "--ocpp", ocpp):
            path = f"/api/v1/transactions?charge_point=PR-METER-{ocpp}"
            found = until(
                lambda path=path: page_server.ask("GET", path).json["transactions"] or None, "it charges", 30
            )
            page = visit(f"transactions/{found[0]['transaction_id']}").page
            page.get_by_text("Power, by the meter").wait_for()


def test_charging_is_stopped_until_its_effect(visit, page_server):
    with station(page_server, "PR-STOP"):
        page = visit("transactions?charge_point=PR-STOP").page
        page.get_by_role("row", name=re.compile("PR-STOP")).click()
        page.get_by_role("button", name="Stop charging").click()
        page.get_by_text(re.compile("has answered: Accepted")).wait_for()
        page.get_by_role("heading", name=re.compile("Transaction .* Ended")).wait_for()


def test_a_dead_transaction_is_closed_by_hand(visit, page_server):
    with charged(page_server, "PR-DEAD", samples=2) as charge_point:
        number = charge_point.transaction_id
    page = visit(f"transactions/{number}").page
    page.get_by_role("button", name="Close by hand").click()
    page.get_by_label("Reason").fill("")
    page.get_by_role("button", name="Close it").click()
    page.get_by_text("is needed").wait_for()
    page.get_by_label("Reason").fill("SwitchedOff")
    page.get_by_label("Meter at the end").fill("1260000")
    page.get_by_role("button", name="Close it").click()
    page.get_by_role("heading", name=re.compile("Closed by hand")).wait_for()
    found = page_server.ask("GET", f"/api/v1/transactions/{number}").json
    assert (found["open"], found["stop_reason"], found["meter_stop"]) == (False, "SwitchedOff", 1_260_000)


def test_tags_are_entered_changed_imported_and_exported(visit, page_server, tmp_path):
    visited = visit("tags?q=pr-tag")
    page = visited.page
    page.get_by_role("button", name="Add…").click()
    page.get_by_label("Tag", exact=True).fill("PR-TAG-1")
    page.get_by_label("Parent").fill("=ACME")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("row", name=re.compile("PR-TAG-1")).click()
    page.get_by_label("Status").select_option("Blocked")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("row", name=re.compile("PR-TAG-1 Blocked")).wait_for()
    table = tmp_path / "tags.csv"
    table.write_text('id_tag,status,message\nPR-TAG-2,Accepted,"Hello, you"\nPR-TAG-3,Nonsense,\n')
    with visited.refusals():
        page.get_by_role("button", name="Import CSV").click()
        page.get_by_label("File of tags").set_input_files(table)
        page.get_by_text(re.compile("Row 2: status")).wait_for()
    table.write_text('id_tag,status,message\nPR-TAG-2,Accepted,"Hello, you"\n')
    page.get_by_label("File of tags").set_input_files(table)
    page.get_by_text("all of them right").wait_for()
    page.get_by_role("button", name="Import", exact=True).click()
    page.get_by_role("row", name=re.compile("PR-TAG-2")).wait_for()
    rows = {row["id_tag"]: row for row in csv.DictReader(io.StringIO(downloaded(page, "Export CSV")))}
    assert rows["PR-TAG-2"]["message"] == "Hello, you"
    assert rows["PR-TAG-1"]["parent"] == "'=ACME"
    assert page_server.ask("GET", "/api/v1/tags/PR-TAG-1").json["parent"] == "=ACME"


def test_a_reservation_is_made_and_cancelled(visit, page_server):
    with station(page_server, "PR-RES"):
        until(lambda: page_server.connected("PR-RES"), "it is connected")
        page = visit("reservations?q=PR-RES").page
        page.get_by_role("button", name="Reserve…").click()
        page.get_by_label("Charge point", exact=True).fill("PR-RES")
        page.get_by_label("Connector or EVSE").fill("2")
        page.get_by_label("Tag", exact=True).fill("MARIA")
        page.get_by_role("button", name="Reserve", exact=True).click()
        row = page.get_by_role("row", name=re.compile("PR-RES"))
        row.get_by_role("button", name="Cancel").click()
        page.get_by_role("button", name="Cancel it").click()
        row.get_by_text("Cancelled", exact=False).wait_for()


def test_a_key_is_set_and_removed_and_never_shown(visit, page_server):
    page = visit("keys?q=PR-KEY").page
    page.get_by_role("button", name="Set a key").click()
    page.get_by_label("Charge point", exact=True).fill("PR-KEY")
    page.get_by_label("Key", exact=True).fill("0123456789abcdef")
    page.get_by_role("button", name="Save").click()
    row = page.get_by_role("row", name=re.compile("PR-KEY"))
    row.get_by_text("In use").wait_for()
    assert "0123456789abcdef" not in page.content()
    row.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    row.wait_for(state="hidden")


def test_a_local_list_is_brought_in_step_with_the_tags(visit, page_server):
    page_server.ask("PUT", "/api/v1/tags/PR-LOCAL", {"status": "Accepted"})
    with station(page_server, "PR-LIST"):
        until(lambda: page_server.connected("PR-LIST"), "it is connected")
        page = visit("local-lists?q=PR-LIST").page
        row = page.get_by_role("row", name=re.compile("PR-LIST"))
        row.get_by_role("checkbox").check()
        page.get_by_role("button", name="Bring in step").click()
        page.get_by_role("button", name="Send", exact=True).click()
        row.get_by_text("Known", exact=True).wait_for()
        row.get_by_text("Known", exact=True).click()
        page.get_by_role("dialog").get_by_text("PR-LOCAL").wait_for()


@pytest.mark.parametrize(("size", "theme"), [(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop", "phone"])
def test_nothing_serious_keeps_anybody_from_using_the_records(visit, page_server, size, theme):
    page_server.ask("PUT", "/api/v1/tags/PR-AXE", {"status": "Blocked"})
    with charged(page_server, "PR-AXE", samples=5) as charge_point:
        visited = visit("transactions", size=size, theme=theme)
        visited.page.get_by_text("Live", exact=True).wait_for()
        one = f"transactions/{charge_point.transaction_id}"
        for place in ("transactions", one, "tags", "reservations", "keys", "local-lists"):
            visited.go(place)
            visited.page.locator(
                f"{place.split('/')[0].removesuffix('s') if '/' in place else place}-view"
            ).wait_for()
            assert faults_for_everybody(visited.page) == [], place
            assert visited.page.evaluate("document.documentElement.scrollWidth") <= size[0], place
