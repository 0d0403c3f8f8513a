"""Links that show one image for some minutes, and nothing else."""

import pytest

from shared.ai.images.links import ImageLinks, LinkInvalid
from shared.kernel.clock import MINUTE, SECOND
from shared.kernel.ids import is_safe_id

KEY, OLDER = b"k" * 32, b"o" * 32
NOW = 1_790_000_000_000
ID = "img_5f0c5f0c5f0c5f0c5f0c5f0c"


@pytest.fixture
def links():
    return ImageLinks([KEY])


def test_a_link_tells_its_image_until_its_time_is_up(links):
    link = links.to(ID, NOW)

    assert is_safe_id(link.text)
    assert 10 * MINUTE <= link.expires_at - NOW <= 15 * MINUTE
    assert links.read(link.text, NOW) == links.read(link.text, link.expires_at - 1) == link
    with pytest.raises(LinkInvalid):
        links.read(link.text, link.expires_at)


def test_links_made_within_minutes_are_the_same_so_that_a_browser_can_cache(links):
    begin = NOW // (300 * SECOND) * 300 * SECOND

    assert links.to(ID, begin) == links.to(ID, begin + 299 * SECOND)
    assert links.to(ID, begin) != links.to(ID, begin + 300 * SECOND)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(ID, "img_000000000000000000000000"),
        lambda text: text.replace(".179", ".979", 1),
        lambda text: text[:-1] + ("0" if text[-1] != "0" else "1"),
        lambda text: text[:-1],
        lambda text: text + "0",
        lambda text: text.upper(),
        lambda text: text.rpartition(".")[0],
        lambda text: text.rpartition(".")[0] + ".",
        lambda text: "." + text,
        lambda _: "",
        lambda _: "..",
        lambda _: ID,
        lambda text: text.replace(".", "。"),
        lambda text: text + "é",
    ],
)
def test_a_link_that_was_changed_is_none(links, change):
    with pytest.raises(LinkInvalid):
        links.read(change(links.to(ID, NOW).text), NOW)


def test_links_of_an_older_key_are_still_good_and_those_of_a_stranger_never(links):
    ours, strangers = ImageLinks([OLDER]).to(ID, NOW), ImageLinks([b"s" * 32]).to(ID, NOW)

    both = ImageLinks([KEY, OLDER])

    assert both.read(ours.text, NOW) == ours
    assert both.to(ID, NOW) == links.to(ID, NOW)
    with pytest.raises(LinkInvalid):
        both.read(strangers.text, NOW)
