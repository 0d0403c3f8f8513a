"""Streams at random, over every profile: what is charged is true, or the call has failed and costs nothing."""

from shared.ai.models.profiles import PROFILES
from tests.streams import playing


def test_random_streams_are_charged_as_their_provider_bills(monkeypatch):
    monkeypatch.setattr(playing, "CALLS_PER_WORLD", 20)

    ends = playing.play(seed=1, count=20 * len(PROFILES))

    assert ends.keys() == {"answered", "failed"}
    assert ends["answered"] > ends["failed"]
