from decimal import Decimal

import pytest

from shared.ai.models.listing import compared


def listed(name="gpt-x", **more):
    return {
        "id": name,
        "name": "GPT X",
        "pricing": {"prompt": "0.00000015", "completion": "0.0000006"},
        "context_length": 128_000,
        "top_provider": {"max_completion_tokens": 16_384},
        "architecture": {"input_modalities": ["text", "image"]},
        "supported_parameters": ["tools", "reasoning", "seed"],
        **more,
    }


MODEL = {
    "kind": "chat",
    "display_name": "GPT X",
    "input_usd_per_mtok": "0.15",
    "output_usd_per_mtok": "0.6",
    "context_window": 128_000,
    "max_output_tokens": 16_384,
    "capabilities": ["chat", "streaming", "vision", "tools", "reasoning"],
    "upstream": "default",
    "upstream_model": "gpt-x",
}


def test_a_new_model_is_read_with_its_exact_price():
    (change,) = compared([listed()], {}, "default").changes

    assert (change.model_id, change.before, change.after) == ("gpt-x", None, MODEL)


@pytest.mark.parametrize(
    ("name", "image", "numbers"),
    [
        ("gpt-x", "0.0015", {"tokens": 10_000, "tokens_most": 10_000}),
        ("openai/gpt-4o-mini", "0.0015", None),
        ("gpt-x", "0", None),
    ],
    ids=["priced", "known by name", "free"],
)
def test_a_price_for_an_image_becomes_its_tokens(name, image, numbers):
    pricing = {"prompt": "0.00000015", "completion": "0.0000006", "image": image}

    (change,) = compared([listed(name, pricing=pricing)], {}, "default").changes

    assert change.after.get("image_tokens") == numbers


def test_what_is_here_already_is_left_as_it_is():
    found = compared([listed()], {"gpt-x": {**MODEL, "v": 1, "price_version": 3}}, "default")

    assert (found.changes, found.unchanged) == ([], ["gpt-x"])


def test_a_changed_price_is_shown_and_what_operators_say_is_kept():
    ours = {**MODEL, "display_name": "Ours", "quality": 9, "is_enabled": False, "capabilities": ["chat"], "v": 1}
    dearer = listed(pricing={"prompt": "0.0000002", "completion": "0.0000006"})

    (change,) = compared([dearer], {"our-name": ours}, "default").changes

    assert change.model_id == "our-name"
    assert change.differences == {"input_usd_per_mtok": ("0.15", "0.2")}
    assert change.after == {name: value for name, value in ours.items() if name != "v"} | {"input_usd_per_mtok": "0.2"}


def test_a_model_of_another_provider_has_that_provider_in_its_name():
    (change,) = compared([listed("openai/gpt-x")], {"gpt-x": MODEL}, "router").changes

    assert change.model_id == "router:openai:gpt-x"
    assert (change.after["upstream"], change.after["upstream_model"]) == ("router", "openai/gpt-x")


LEFT_OUT = {
    "no pricing": {"pricing": None},
    "no price": {"pricing": {"prompt": "0.1"}},
    "not a price": {"pricing": {"prompt": "free", "completion": "0"}},
    "a price that is no number": {"pricing": {"prompt": "NaN", "completion": "1"}},
    "a price without end": {"pricing": {"prompt": "1e999999999", "completion": "1"}},
    "true": {"pricing": {"prompt": True, "completion": "1"}},
    "variable": {"pricing": {"prompt": "-1", "completion": "-1"}},
    "finer than we count": {"pricing": {"prompt": "0.0000000000000000000000001", "completion": "1"}},
    "free, perhaps by mistake": {"pricing": {"prompt": "0", "completion": "0"}},
    "no window": {"context_length": None},
    "no name for us": {"id": "a b"},
    "the name of our own choosing": {"id": "auto"},
    "no id": {"id": ""},
}


@pytest.mark.parametrize("item", LEFT_OUT.values(), ids=LEFT_OUT.keys())
def test_what_has_no_price_or_makes_no_model_is_left_out_and_said(item):
    found = compared([listed(**item)], {}, "default")

    assert (found.changes, found.unchanged, len(found.left_out)) == ([], [], 1)


def test_what_is_free_is_imported_only_if_somebody_says_so():
    free = listed(pricing={"prompt": "0", "completion": "0"})

    (change,) = compared([free], {}, "default", is_free_wanted=True).changes

    assert (change.after["input_usd_per_mtok"], change.after["output_usd_per_mtok"]) == ("0", "0")


def test_a_price_that_was_written_as_a_number_is_read_as_it_was_written():
    (change,) = compared([listed(pricing={"prompt": Decimal("1.5E-7"), "completion": 1})], {}, "default").changes

    assert (change.after["input_usd_per_mtok"], change.after["output_usd_per_mtok"]) == ("0.15", "1000000")


def test_what_is_listed_no_more_is_told_and_stays():
    theirs = {**MODEL, "upstream_model": "old"}
    found = compared([listed()], {"gpt-x": MODEL, "old": theirs, "b": {**MODEL, "upstream": "router"}}, "default")

    assert (found.gone, found.changes) == (["old"], [])


def test_another_model_of_the_same_name_is_not_written_over():
    found = compared([listed()], {"gpt-x": {**MODEL, "upstream": "router"}}, "default")

    assert found.left_out == {"gpt-x": "gpt-x is another model here"}
