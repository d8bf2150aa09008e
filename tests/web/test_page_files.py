"""Files of the operator's page as they are served, and rules for all of them."""

import gzip
import re

import falcon
import falcon.testing
import pytest

from chargehand import CentralSystem, HttpSettings, Settings
from chargehand.web.app import make_app
from chargehand.web.page_files import FOLDER, TYPES, page_files

LARGEST_PAGE_BYTES = 200_000
ABSOLUTE = re.compile(r"""(?:https?:)?//[\w.-]+\.\w|(?:src|href|from|import)\s*[=(]?\s*["']/""")
NAMESPACES = re.compile(r"http://www\.w3\.org/(?:2000/svg|1999/xhtml)")
SINKS = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|style=")
FILES = sorted(path for path in FOLDER.rglob("*") if path.is_file())


@pytest.fixture
def stranger(system, stop):
    return falcon.testing.TestClient(make_app(system, "a token", stop))


def test_the_page_is_at_the_root_for_everybody_with_a_strict_policy(stranger):
    reply = stranger.simulate_get("/")
    assert reply.status == falcon.HTTP_200
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    policy = reply.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_each_file_is_served_with_its_type_and_its_bytes(stranger):
    for path in FILES:
        name = path.relative_to(FOLDER).as_posix()
        reply = stranger.simulate_get("/" if name == "index.html" else f"/page/{name}")
        assert reply.status == falcon.HTTP_200
        assert reply.headers["content-type"] == TYPES[path.suffix]
        assert reply.content == path.read_bytes()


def test_a_browser_that_has_a_file_is_told_so(stranger):
    tag = stranger.simulate_get("/").headers["etag"]
    again = stranger.simulate_get("/", headers={"If-None-Match": f'"other", {tag}'})
    assert (again.status, again.content) == (falcon.HTTP_304, b"")
    assert stranger.simulate_get("/", headers={"If-None-Match": '"other"'}).status == falcon.HTTP_200


def test_a_file_is_compressed_for_those_who_take_that(stranger):
    reply = stranger.simulate_get("/", headers={"Accept-Encoding": "gzip, br"})
    assert reply.headers["content-encoding"] == "gzip"
    assert gzip.decompress(reply.content) == (FOLDER / "index.html").read_bytes()


def test_what_is_no_file_of_the_page_needs_a_token(stranger):
    for path in ("/page/", "/page/none.js", "/page/../guard.py", "/page/%2e%2e/guard.py", "/index.html"):
        assert stranger.simulate_get(path).status == falcon.HTTP_401


def test_a_setting_turns_the_page_off(stop):
    with CentralSystem(Settings(port=0, http=HttpSettings(page=False))) as system:
        client = falcon.testing.TestClient(make_app(system, "a token", stop))
        assert client.simulate_get("/").status == falcon.HTTP_401


def test_all_files_are_served_and_the_whole_page_is_small():
    assert len(page_files()) == len(FILES)
    assert sum(path.stat().st_size for path in FILES) < LARGEST_PAGE_BYTES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_file_names_another_host_or_a_place_of_this_one(path):
    text = NAMESPACES.sub("", path.read_text(encoding="utf-8"))
    assert not ABSOLUTE.findall(text)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_file_makes_elements_or_code_of_text(path):
    assert not SINKS.findall(path.read_text(encoding="utf-8"))
