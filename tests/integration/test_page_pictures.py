"""Pictures of the operator's page for the documentation: made only where `PAGE_PICTURES` names a folder."""

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from .browser import DESKTOP, PHONE, PICTURES
from .process import until
from .stations import charged, station

SIZES = {"desktop": DESKTOP, "phone": PHONE}
CITIES = ("berlin", "bern", "graz", "lille", "porto")


@pytest.fixture
def fleet(start_server) -> Iterator[tuple[object, int]]:
    """Server with a small fleet of both versions in many states, and the number of a transaction that goes on."""
    if not os.environ.get(PICTURES):
        pytest.skip(f"{PICTURES} names no folder for pictures")
    server = start_server("--store", "sqlite")
    with ExitStack() as stack:
        for number, city in enumerate(CITIES, 1):
            for place in range(1, 4):
                one = stack.enter_context(charged(server, f"{city}-{place:02}", 20 + 7 * number * place))
                if (number + place) % 3 == 0:
                    one.stop()
        one.status("Faulted", "GroundFailure")
        for number in range(1, 4):
            stack.enter_context(station(server, f"depot-{number:02}", "--ocpp", "2.0.1"))
            until(lambda number=number: server.connected(f"depot-{number:02}"), "it is connected", 30)
            server.ask("PUT", f"/api/v1/charge-points/depot-9{number}", {"registration": "Accepted"})
            server.ask("PUT", f"/api/v1/tags/MARIA-{number}", {"parent": "ACME", "expiry": "2027-12-31"})
        server.ask("PUT", "/api/v1/tags/LOST-7", {"status": "Blocked", "message": "Please call us"})
        live = stack.enter_context(charged(server, "zurich-01"))
        yield server, live.transaction_id


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_pictures_are_made_at_both_sizes_and_in_both_themes(browser, fleet, size, theme):
    server, number = fleet
    page = browser.window(server, SIZES[size], theme)
    page.log_in()
    page.go("fleet").get_by_text("22 charge points").wait_for()
    page.page.get_by_text("Occupied").first.wait_for()
    page.picture(f"fleet-{size}-{theme}")
    page.go(f"transactions/{number}").get_by_role("img", name="Curves").wait_for()
    page.picture(f"transaction-{size}-{theme}")
    page.go("transactions").get_by_text("zurich-01").first.wait_for()
    page.picture(f"transactions-{size}-{theme}")
    page.go("charge-points/depot-01").get_by_text("TransactionEvent").first.wait_for()
    page.picture(f"charge-point-{size}-{theme}")
    page.go("supervision").get_by_text("back-office-201").first.wait_for()
    page.picture(f"supervision-{size}-{theme}")
    page.close()
