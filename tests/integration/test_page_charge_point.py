"""The operator's page in a browser: one charge point, its conversation, commands by form, its configuration."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from .browser import DESKTOP, PHONE, faults_for_everybody
from .process import until
from .stations import station as started

VERSIONS = ["1.6", "2.0.1"]


@contextmanager
def station(server, id_, *options) -> Iterator[None]:
    """Run a simulated charge point that charges, and stays; it is connected."""
    with started(server, id_, "--keep", *options):
        until(lambda: server.connected(id_), f"{id_} is connected", 30)
        yield


@pytest.mark.parametrize("ocpp", VERSIONS)
def test_its_conversation_is_followed_as_text_and_as_frames(visit, page_server, ocpp):
    id_ = f"PC-TALK-{ocpp}"
    with station(page_server, id_, "--ocpp", ocpp):
        page = visit(f"fleet?q={id_}").page
        page.get_by_role("row", name=re.compile(id_)).click()
        frames = page.get_by_role("list", name="Frames")
        frames.get_by_text("BootNotification").first.wait_for()
        page.get_by_role("searchbox", name="Filter frames").fill("bootnotif")
        frames.get_by_text("StatusNotification").first.wait_for(state="hidden")
        page.get_by_role("button", name="As frames").click()
        frames.get_by_text(re.compile(r'^\[2,".*"BootNotification"')).first.wait_for()


@pytest.mark.parametrize("ocpp", VERSIONS)
def test_charging_is_stopped_and_started_by_form_until_the_effect(visit, page_server, ocpp):
    id_ = f"PC-FORM-{ocpp}"
    with station(page_server, id_, "--ocpp", ocpp):
        page = visit(f"charge-points/{id_}").page
        transactions = page.get_by_role("region", name="Transactions")
        transactions.get_by_text("Charging").wait_for()
        transactions.get_by_role("link", name=re.compile(r"^\d+$")).click()
        page.get_by_role("button", name="Stop charging").click()
        page.get_by_text(re.compile("has answered: Accepted")).wait_for()
        page.get_by_role("heading", name=re.compile("Ended")).wait_for()
        page.get_by_role("link", name=id_).click()
        page.get_by_role("button", name="Start…").click()
        page.get_by_label("Id tag").fill("PC-MARIA")
        page.get_by_label("Evse").fill("2")
        page.get_by_role("button", name="Send", exact=True).click()
        page.get_by_role("dialog").get_by_text("effect: done").wait_for()
        page.get_by_role("dialog").get_by_role("button", name="Close").click()
        transactions.get_by_text(re.compile("PC-MARIA")).wait_for()


def test_a_form_is_made_of_the_messages_declaration_and_faults_stand_at_their_fields(visit, page_server):
    with station(page_server, "PC-FAULT"):
        visited = visit("charge-points/PC-FAULT")
        page = visited.page
        page.get_by_role("button", name="Command…").click()
        page.get_by_label("Command", exact=True).select_option("action:SetChargingProfile")
        page.get_by_label("Connector id").fill("1")
        with visited.refusals():
            page.get_by_role("button", name="Send", exact=True).click()
            page.locator("#main, dialog").get_by_text("is required").first.wait_for()
        page.get_by_label("Charging profile id").fill("7")
        page.get_by_label("Stack level").fill("0")
        page.get_by_label("Charging profile purpose").select_option("TxDefaultProfile")
        page.get_by_label("Charging profile kind").select_option("Relative")
        page.get_by_label("Charging rate unit").select_option("W")
        page.get_by_label("Start period").fill("0")
        page.get_by_label("Limit", exact=True).fill("7400")
        page.get_by_role("button", name="Send", exact=True).click()
        page.get_by_role("dialog").get_by_text("Accepted").first.wait_for()
        page.get_by_role("dialog").get_by_role("button", name="Close").click()
        page.reload()
        page.get_by_role("img", name=re.compile("Limit of profile 7")).wait_for()


def test_its_configuration_is_read_and_changed(visit, page_server):
    with station(page_server, "PC-CONF"):
        page = visit("charge-points/PC-CONF").page
        page.get_by_role("button", name="Read it").click()
        page.get_by_role("searchbox", name="Filter configuration").fill("HeartbeatInterval")
        page.get_by_role("button", name="Change…").click()
        page.get_by_label("Value").fill("777")
        page.get_by_role("button", name="Set", exact=True).click()
        page.get_by_text("Accepted.", exact=True).wait_for()
        page.get_by_text("777").first.wait_for()


@pytest.mark.parametrize(("size", "theme"), [(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop", "phone"])
def test_nothing_serious_keeps_anybody_from_using_it(visit, page_server, size, theme):
    with station(page_server, "PC-AXE"):
        page = visit("charge-points/PC-AXE", size=size, theme=theme).page
        page.get_by_text("Charging", exact=True).first.wait_for()
        assert faults_for_everybody(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        page.get_by_role("button", name="Command…").click()
        page.get_by_label("Command", exact=True).wait_for()
        assert faults_for_everybody(page) == []
