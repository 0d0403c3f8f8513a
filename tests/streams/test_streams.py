"""Check that each charge is the provider's bill, or that the call failed and costs nothing.

Method: random answers of providers over every profile. `make streams` is the long form.
"""

from shared.ai.models.profiles import PROFILES
from tests.streams import playing


def test_random_streams_are_charged_as_their_provider_bills(monkeypatch):
    monkeypatch.setattr(playing, "CALLS_PER_WORLD", 20)

    ends = playing.play(seed=1, count=20 * len(PROFILES))

    assert ends.keys() == {"answered", "failed"}
    assert ends["answered"] > ends["failed"]
