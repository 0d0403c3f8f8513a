"""What becomes of a request field at the OpenAI routes: `passes`, `refused` by name, or `left out` of what is sent."""

from shared.ai.openai.offered_fields import OFFERED
from shared.ai.openai.request_fields import RequestFields
from shared.kernel.errors import InvalidValue
from tests.support.openai_fields import body_with

NOTHING_NAMED = RequestFields({"default": frozenset()})


def verdict(endpoint: str, path: str) -> str:
    """Return what becomes of this field. A refusal must name the field, or the object that has it."""
    body, place = body_with(path)
    try:
        sifted = NOTHING_NAMED.sifted(OFFERED[endpoint], body, "default")
    except InvalidValue as error:
        named = str(error.params["field"])
        assert place == named or place.startswith(f"{named}."), f"{place} is refused as {named}"
        return "refused"
    return "left out" if place in sifted.dropped else "passes"
