"""A provider's listing, read over HTTP from the stand-in."""

import pytest

from emulator.upstream import Upstream
from shared.ai.models.listing import compared
from shared.ai.ports import UpstreamUnavailable
from shared.kernel.errors import InvalidValue
from shared.platform.openai.listing import OpenAIListings


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
