from fractions import Fraction
from typing import Any

import pytest

from shared.ai.models.catalogue import Catalogue, ModelNotFound, ModelUnpriced, parse_model
from shared.kernel.clock import SECOND
from shared.kernel.documents import Document, Documents, Put, Query
from shared.kernel.errors import InvalidValue
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments

CHAT: dict[str, Any] = {
    "kind": "chat",
    "display_name": "Chat",
    "input_usd_per_mtok": "0.150",
    "output_usd_per_mtok": "0.6",
    "context_window": 1_000,
    "max_output_tokens": 100,
    "capabilities": ["tools"],
}


@pytest.fixture
def documents() -> Documents:
    return MemoryDocuments()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def catalogue(documents, clock) -> Catalogue:
    return Catalogue(documents, clock)


def store(documents: Documents, name: str, fields: dict[str, Any]) -> None:
    documents.commit([Put(f"models/{name}", fields)])


def test_a_model_is_listed_without_dollars_and_upstream(catalogue):
    catalogue.put("chat", CHAT)

    assert [model.as_wire() for model in catalogue.enabled()] == [
        {
            "id": "chat",
            "kind": "chat",
            "display_name": "Chat",
            "context_window": 1_000,
            "max_output_tokens": 100,
            "expected_output_tokens": 100,
            "capabilities": ["tools"],
            "quality": 5,
            "speed": 5,
            "price_version": 1,
        }
    ]


def test_no_model_is_called_auto(catalogue):
    with pytest.raises(InvalidValue):
        catalogue.put("auto", CHAT)


def test_a_model_that_paints_is_at_the_default_upstream():
    with pytest.raises(InvalidValue):
        parse_model("painter", {"kind": "image", "image_usd": "1", "upstream": "other"})


def test_prices_are_exact():
    model = parse_model("chat", {**CHAT, "input_usd_per_mtok": "0.100000000000000001"})

    assert model.input_usd_per_mtok == Fraction(1, 10) + Fraction(1, 10**18)


@pytest.mark.parametrize("name", ["input_usd_per_mtok", "output_usd_per_mtok"])
@pytest.mark.parametrize(
    "price",
    [
        "-1",
        "NaN",
        "nan",
        "Infinity",
        "",
        " 1",
        "1e3",
        "1,5",
        "٣",
        "+1",
        "1.",
        ".5",
        "01",
        1,
        True,
        None,
        b"1",
        ["1"],
    ],
)
def test_a_model_without_a_valid_price_is_refused(documents, catalogue, name, price):
    documents.commit([Put("models/chat", {**CHAT, name: price})])

    with pytest.raises(ModelUnpriced):
        catalogue.get("chat")
    assert catalogue.enabled() == []


def test_a_price_stored_as_a_float_is_refused():
    with pytest.raises(InvalidValue):
        parse_model("chat", {**CHAT, "input_usd_per_mtok": 0.5})


def test_an_absent_price_is_refused_not_free(documents, catalogue):
    store(documents, "chat", {name: value for name, value in CHAT.items() if name != "output_usd_per_mtok"})

    with pytest.raises(ModelUnpriced):
        catalogue.get("chat")


def test_a_price_of_zero_is_a_price(documents, catalogue):
    store(documents, "chat", {**CHAT, "input_usd_per_mtok": "0", "output_usd_per_mtok": "0.000"})

    assert catalogue.get("chat").input_usd_per_mtok == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "audio"),
        ("kind", None),
        ("context_window", 0),
        ("context_window", -1),
        ("context_window", True),
        ("context_window", "1000"),
        ("max_output_tokens", 1_001),
        ("max_output_tokens", 0),
        ("expected_output_tokens", 10**12),
        ("display_name", ""),
        ("display_name", 5),
        ("upstream_model", "x" * 201),
        ("quality", 0),
        ("quality", 11),
        ("speed", "5"),
        ("upstream", "Main"),
        ("upstream", "two words"),
        ("upstream", "x" * 33),
        ("is_enabled", "yes"),
        ("capabilities", "reasoning"),
        ("capabilities", [1]),
        ("capabilities", ["x"] * 33),
    ],
)
def test_a_model_that_is_otherwise_wrong_is_named_and_not_offered(documents, catalogue, field, value):
    store(documents, "chat", {**CHAT, field: value})

    with pytest.raises(InvalidValue) as wrong:
        parse_model("chat", {**CHAT, field: value})
    with pytest.raises(ModelNotFound):
        catalogue.get("chat")
    expected = "max_output_tokens" if field == "context_window" and value == 0 else field
    assert wrong.value.params["field"] == expected


def test_disabled_unknown_and_impossible_models_are_not_found(documents, catalogue):
    store(documents, "chat", {**CHAT, "is_enabled": False})

    for name in ("chat", "other", "a/b", "", ".."):
        with pytest.raises(ModelNotFound):
            catalogue.get(name)


def test_model_that_another_instance_adds_is_found_within_a_second(documents):
    clock = ManualClock()
    here, there = Catalogue(documents, clock), Catalogue(documents, clock)
    assert here.enabled() == []
    there.put("chat", CHAT)

    clock.advance(SECOND)

    assert here.get("chat").id == "chat"


class CountedQueries(MemoryDocuments):
    """A store that counts its queries."""

    count = 0

    def query(self, query: Query) -> list[Document]:
        self.count += 1
        return super().query(query)


def test_missing_models_cost_one_read_a_second():
    reads, clock = CountedQueries(), ManualClock()
    catalogue = Catalogue(reads, clock)

    for number in range(30):
        clock.advance(SECOND // 10)
        with pytest.raises(ModelNotFound):
            catalogue.get(f"nobody-{number}")

    assert reads.count <= 1 + 3


def test_one_cannot_chat_with_a_model_that_paints(catalogue):
    catalogue.put("painter", {"kind": "image", "image_usd": "0.04"})

    with pytest.raises(ModelNotFound):
        catalogue.chat("painter")
    assert catalogue.get("painter").image_usd == Fraction(1, 25)


PAINTER: dict[str, Any] = {"kind": "image", "image_usd": "0.04"}
BY_SIZE = {"1024x1024": "0.04", "1536x1024": "0.060", "auto": "0.06"}


def test_a_model_paints_the_sizes_that_have_a_price(catalogue):
    catalogue.put("plain", PAINTER)
    catalogue.put("wide", {**PAINTER, "image_usd_by_size": BY_SIZE})
    catalogue.put("odd", {**PAINTER, "image_usd_by_size": {"64x64": "1", "512x512": "2"}})

    plain, wide, odd = (catalogue.image(name) for name in ("plain", "wide", "odd"))

    assert plain.image_usd_by_size == {"1024x1024": Fraction("0.04")}
    assert wide.image_usd_by_size == {size: Fraction(price) for size, price in BY_SIZE.items()}
    assert [model.default_size for model in (plain, wide, odd)] == ["1024x1024", "1024x1024", "512x512"]


def test_one_cannot_paint_with_a_model_that_chats(catalogue):
    catalogue.put("chat", CHAT)

    with pytest.raises(ModelNotFound):
        catalogue.image("chat")


@pytest.mark.parametrize(
    "by_size",
    [
        {},
        [],
        "0.04",
        {"1024x1024": None},
        {"1024x1024": 4},
        {"1024x1024": "-1"},
        {"large": "1"},
        {"1024X1024": "1"},
        {"1024x1024 ": "1"},
        {f"{n}x{n}": "1" for n in range(100, 200)},
    ],
    ids=str,
)
def test_a_model_with_a_wrong_price_for_a_size_is_unpriced(documents, catalogue, by_size):
    store(documents, "painter", {**PAINTER, "image_usd_by_size": by_size})
    with pytest.raises(InvalidValue) as wrong:
        parse_model("painter", {**PAINTER, "image_usd_by_size": by_size})

    assert wrong.value.params["field"] == "image_usd_by_size"
    with pytest.raises(ModelUnpriced):
        catalogue.image("painter")


def test_another_price_for_a_size_is_a_new_version(catalogue):
    versions = [
        catalogue.put("painter", fields)[1]["price_version"]
        for fields in (PAINTER, {**PAINTER, "image_usd_by_size": BY_SIZE}, {**PAINTER, "image_usd_by_size": BY_SIZE})
    ]

    assert versions == [1, 2, 2]


def test_a_change_is_seen_within_half_a_minute(documents, clock, catalogue):
    catalogue.put("chat", CHAT)
    catalogue.get("chat")
    store(documents, "chat", {**CHAT, "display_name": "New"})

    clock.advance(29_000)
    before = catalogue.get("chat").display_name
    clock.advance(1_000)

    assert (before, catalogue.get("chat").display_name) == ("Chat", "New")


def test_ones_own_change_is_seen_at_once(catalogue):
    catalogue.put("chat", CHAT)
    catalogue.get("chat")

    catalogue.put("chat", {**CHAT, "display_name": "New"})

    assert catalogue.get("chat").display_name == "New"


def test_a_new_price_is_a_new_version_and_nothing_else_is(catalogue):
    versions = [
        catalogue.put("chat", fields)[1]["price_version"]
        for fields in (CHAT, {**CHAT, "display_name": "New"}, {**CHAT, "output_usd_per_mtok": "0.7"})
    ]

    assert versions == [1, 1, 2]


def test_putting_a_model_tells_what_it_was(catalogue):
    first = catalogue.put("chat", CHAT)
    second = catalogue.put("chat", {**CHAT, "display_name": "New"})

    assert first[0] is None
    assert second[0] == first[1] == catalogue.put("chat", CHAT)[1]


@pytest.mark.parametrize("change", [{"input_usd_per_mtok": "-1"}, {"unknown": 1}, {"price_version": 7}])
def test_operators_cannot_write_a_wrong_model(documents, catalogue, change):
    with pytest.raises(InvalidValue):
        catalogue.put("chat", {**CHAT, **change})

    assert documents.get("models/chat") is None


@pytest.mark.parametrize("name", ["", "a/b", "..", "x" * 129, "__all__"])
def test_a_model_needs_an_id_that_can_stand_in_a_path(catalogue, name):
    with pytest.raises(InvalidValue):
        catalogue.put(name, CHAT)


TIER = {"above_input_tokens": 10, "input_usd_per_mtok": "1"}


@pytest.mark.parametrize(
    "tiers",
    [
        "dear",
        [1],
        [{"input_usd_per_mtok": "1"}],
        [{"above_input_tokens": 10}],
        [{**TIER, "above_input_tokens": 0}],
        [{**TIER, "above_input_tokens": True}],
        [TIER, TIER],
        [{**TIER, "output_usd_per_mtok": 5}],
        [{**TIER, "web_search": "1"}],
        [{**TIER, "above_input_tokens": at} for at in range(1, 10)],
    ],
)
def test_tiers_that_are_no_tiers_leave_a_model_unpriced(documents, catalogue, tiers):
    store(documents, "chat", {**CHAT, "context_tiers": tiers})

    with pytest.raises(ModelUnpriced):
        catalogue.get("chat")


@pytest.mark.parametrize(
    "qualities", ["high", {}, {"": {"1024x1024": "1"}}, {"high": {"64x64": "1"}}, {"high": {"1024x1024": None}}]
)
def test_qualities_without_prices_leave_a_painter_unpriced(documents, catalogue, qualities):
    store(documents, "painter", {**PAINTER, "image_usd_by_quality": qualities})

    with pytest.raises(ModelUnpriced):
        catalogue.image("painter")


@pytest.mark.parametrize(
    "changed",
    [
        {"cached_input_usd_per_mtok": "0.1"},
        {"cache_write_usd_per_mtok": "0.1"},
        {"request_usd": "0.1"},
        {"context_tiers": [TIER]},
    ],
)
def test_each_newer_price_is_a_new_price_version(catalogue, changed):
    catalogue.put("chat", CHAT)

    _, stored = catalogue.put("chat", {**CHAT, **changed})

    assert stored["price_version"] == 2
