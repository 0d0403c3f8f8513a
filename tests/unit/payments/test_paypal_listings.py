"""Links of PayPal's listings: where a page is followed by another, and where a listing ends."""

import json
from pathlib import Path

import pytest

from shared.platform.paypal.provider import DISPUTES, EVENTS, UnexpectedLink, next_query

CASES = Path(__file__).resolve().parents[4] / "shared" / "cases" / "paypal" / "objects.json"
QUERY = "start_time=2026-08-04T12:46:47-07:00&page_size=2&move_to=next&index_time=2026-09-17T23:07:35Z&index_id=3"


def page(href, rel="next"):
    return {"links": [{"rel": "self", "href": "https://api.paypal.com/"}, {"rel": rel, "href": href}]}


@pytest.mark.parametrize("path", [EVENTS, DISPUTES])
@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(
    "host", ["https://api.paypal.com", "https://api-m.sandbox.paypal.com", "http://127.0.0.1:1", ""]
)
def test_next_link_is_followed_by_path_and_query(path, slash, host):
    assert next_query(page(f"{host}{path}{slash}?{QUERY}"), path) == QUERY


@pytest.mark.parametrize("links", [{}, {"links": None}, {"links": []}, page(f"https://x{EVENTS}?a=1", rel="previous")])
def test_listing_ends_where_no_next_link_is(links):
    assert next_query(links, EVENTS) is None


@pytest.mark.parametrize(
    "href",
    [
        f"https://api.paypal.com{EVENTS}",
        f"https://api.paypal.com{EVENTS}/",
        f"https://api.paypal.com{DISPUTES}?page=2",
        f"https://api.paypal.com{EVENTS}/WH-1?page=2",
        f"https://api.paypal.com/v2{EVENTS}?page=2",
        "https://api.paypal.com/?page=2",
        "",
    ],
)
def test_next_link_to_another_place_is_an_error_and_no_end(href):
    with pytest.raises(UnexpectedLink):
        next_query(page(href), EVENTS)


@pytest.mark.skipif(not CASES.is_file(), reason="the recorded links are not here")
def test_recorded_next_links_are_followed():
    for href in json.loads(CASES.read_text())["next_links"].values():
        assert next_query(page(href), EVENTS) == href.partition("?")[2]
