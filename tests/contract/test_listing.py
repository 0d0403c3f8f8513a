"""A provider's listing, read over HTTP from the stand-in."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from emulator.upstream import Upstream
from shared.ai.models.listing import compared
from shared.ai.ports import UpstreamUnavailable
from shared.kernel.errors import InvalidValue
from shared.platform.openai.listing import OpenAIListings
from shared.sagas.health.looks import look_at_all, upstream_look


def test_what_the_provider_lists_with_a_price_can_be_imported():
    with Upstream() as upstream:
        listings = OpenAIListings({"default": (f"{upstream.url}/v1", "sk-any")})
        found = compared(listings.fetch("default"), {}, "default")

    assert {change.model_id: change.after["input_usd_per_mtok"] for change in found.changes} == {
        "gpt-4o-mini": "0.15",
        "gpt-4o": "2.5",
        "o4-mini": "1.1",
    }
    assert found.left_out["text-embedding-3-small"] == "it has no price"


def test_a_provider_that_cannot_be_read_says_so():
    listings = OpenAIListings({"gone": ("http://127.0.0.1:1", "")})

    with pytest.raises(UpstreamUnavailable):
        listings.fetch("gone")
    with pytest.raises(InvalidValue):
        listings.fetch("other")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (200, ""),
        (404, ""),
        (429, ""),
        (401, "upstream_unavailable"),
        (403, "upstream_unavailable"),
        (503, "upstream_unavailable"),
    ],
)
def test_upstream_is_well_if_it_answers_and_takes_our_key(status, code):
    with answering(status) as url:
        look = upstream_look(OpenAIListings({"default": (url, "sk-any")}), "default")

        assert look_at_all({"upstream": look}) == {"upstream": code}


def test_upstream_that_refuses_connections_is_down():
    look = upstream_look(OpenAIListings({"default": ("http://127.0.0.1:1", "")}), "default")

    assert look_at_all({"upstream": look}) == {"upstream": "upstream_unavailable"}


@contextmanager
def answering(status: int) -> Iterator[str]:
    """A server that answers each request with this status."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
