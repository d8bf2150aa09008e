"""Answers are compressed where that is wanted and worth it, and are not sent again to who has them."""

import gzip
import json

import falcon
import pytest

from chargehand.web.compact import IN_THE_HUB_BYTES, SMALL_BYTES, takes_gzip

TAGS = "/api/v1/tags"
ZIPPED = {"Accept-Encoding": "br, gzip"}


@pytest.fixture
def fill(client):
    def enter(number):
        rows = [{"id_tag": f"T{one:06}"} for one in range(number)]
        assert client.simulate_post(TAGS, body=json.dumps({"tags": rows})).status_code == 200

    return enter


@pytest.mark.parametrize("number", [20, 1000])
def test_a_large_answer_is_compressed_for_a_client_that_takes_it(client, fill, number):
    fill(number)
    plain = client.simulate_get(TAGS)
    assert (len(plain.content) > IN_THE_HUB_BYTES) is (number == 1000)
    assert "content-encoding" not in plain.headers
    packed = client.simulate_get(TAGS, headers=ZIPPED)
    assert packed.headers["content-encoding"] == "gzip"
    assert "Accept-Encoding" in packed.headers["vary"]
    assert gzip.decompress(packed.content) == plain.content
    assert len(packed.content) * 5 < len(plain.content)
    assert packed.headers["etag"] == plain.headers["etag"]


def test_a_small_answer_is_sent_as_it_is(client):
    reply = client.simulate_get(TAGS, headers=ZIPPED)
    assert len(reply.content) < SMALL_BYTES
    assert "content-encoding" not in reply.headers


def test_an_answer_that_the_client_has_is_not_sent_again(client, fill):
    fill(20)
    tag = client.simulate_get(TAGS, headers=ZIPPED).headers["etag"]
    assert tag.startswith('W/"')
    for known in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        reply = client.simulate_get(TAGS, headers=ZIPPED | {"If-None-Match": known})
        assert (reply.status, reply.content) == (falcon.HTTP_304, b"")
    assert client.simulate_get(TAGS, headers={"If-None-Match": '"other"'}).status_code == 200
    fill(21)
    assert client.simulate_get(TAGS, headers={"If-None-Match": tag}).status_code == 200


def test_problems_and_changes_have_no_tag(client):
    assert "etag" not in client.simulate_get("/api/v1/tags/T9").headers
    assert "etag" not in client.simulate_post(TAGS, body='{"tags": []}').headers


@pytest.mark.parametrize(
    ("accepted", "takes"),
    [
        ("gzip", True),
        ("GZIP;q=0.5, br", True),
        ("*", True),
        ("gzip; q=0", False),
        ("gzip;q=0, *", False),
        ("identity", False),
        ("", False),
        ("gzip;q=x", False),
        ("x-gzip, br", False),
    ],
)
def test_who_takes_gzip_is_known_by_the_header(accepted, takes):
    assert takes_gzip(accepted) is takes
