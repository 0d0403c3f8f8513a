"""Make the things of the example user, whose ids stand in the examples of the API reference.

`python -m emulator.examples [PROVIDER]`, with the environment of a laptop's functions. PROVIDER is a payment provider
whose stand-in runs; without it, nothing is bought.

The API itself makes the things, in this process and in the laptop's database. Scripted models answer in place of the
model provider. Each request has a fixed Idempotency-Key, so that a second run changes nothing.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from emulator.payment_providers import stand_in_of
from emulator.seed import USER
from emulator.tools import ROOT
from functions.http.examples import REQUEST_ID, RESPONSE, bodies_of
from shared.bootstrap import Services, production
from shared.kernel.ids import Uid, operation_id
from shared.kernel.money import MICRO_PER_CREDIT
from shared.kernel.settings import parse_settings
from shared.ledger.about import about
from shared.ledger.commands import Adjust
from shared.payments.ports import ProviderName
from shared.users.api_keys import ApiKeys, KeyShownBefore, KeyWanted

if TYPE_CHECKING:
    from flask import Flask

Json = dict[str, Any]
Pay = Callable[[str, str], None]
"""Function that pays as the buyer, by the payment's id and the address of the page to pay on."""

API_KEY = "ics_00112233445566778899aabbccddeeff0011223388324a84"
"""Text of the example user's API key. The key is valid on a laptop alone, and so is no secret."""
IDEMPOTENCY_KEY = "example"
CREDITS = 500 * MICRO_PER_CREDIT
SECONDS_MAX = 60
RESERVED_SECONDS = 86_400
"""Lifetime of the reservation: the longest that a user may ask for."""
ANSWER = "Red, green and blue."
ARTIFACT = '{"name": "result.txt", "content": "1 + 2 + 3 = 6"}'
PAGE_SECONDS_MAX = 30


class ExampleNotMade(Exception):
    """Error for a request of this module that was not answered with success."""


@dataclass(frozen=True, slots=True)
class _Person:
    app: "Flask"
    token: str

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Json:
        """Send the request, and return the answer. Raises ExampleNotMade for any answer but success."""
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Idempotency-Key": IDEMPOTENCY_KEY,
            "X-Request-Id": REQUEST_ID,
        }
        answer = self.app.test_client().post(f"/v1{path}", json=body, headers=headers)
        if not 200 <= answer.status_code < 300:  # noqa: PLR2004  # the statuses of success
            raise ExampleNotMade(f"{path} answered {answer.status_code}: {answer.get_data(as_text=True)}")
        made: Json = answer.get_json()
        return made

    def get(self, path: str) -> None:
        """Send the request."""
        self.app.test_client().get(f"/v1{path}", headers={"Authorization": f"Bearer {self.token}"})


def run_examples(settings: Mapping[str, str], provider: ProviderName | None, log: Path) -> bool:
    """Run this module for a running laptop, with output to `log`. Return False if it failed or took too long."""
    command = [sys.executable, "-m", "emulator.examples", *([provider] if provider else [])]
    environment = {**os.environ, **settings}
    with log.open("wb") as output:
        try:
            done = subprocess.run(
                command, cwd=ROOT, env=environment, stdout=output, stderr=output, timeout=SECONDS_MAX, check=False
            )
        except subprocess.TimeoutExpired:
            return False
    return done.returncode == 0


def main() -> None:
    """Make the examples in the database that the environment names."""
    provider = sys.argv[1] if len(sys.argv) > 1 else None
    settings = parse_settings({**os.environ, "APP_CHECK": "off"})
    make_examples(production(settings, **scripted_adapters()), provider, lambda _, url: _press_pay(str(provider), url))


def scripted_adapters() -> dict[str, Any]:
    """Return adapters that answer from a script, by port: nothing is sent to a model provider or to a worker."""
    from shared.ai.agents.thinking import Thought, ToolCall
    from shared.ai.openai.passthrough import Passthroughs
    from shared.ai.ports import DEFAULT_UPSTREAM
    from shared.ai.tokens import Usage
    from shared.kernel.clock import SystemClock
    from shared.platform.memory.chat_model import ScriptedChatModel, says
    from shared.platform.memory.identity import MemoryIdentity
    from shared.platform.memory.image_model import ScriptedImageModel
    from shared.platform.memory.passthrough import ScriptedPassthrough, response
    from shared.platform.memory.publisher import MemoryPublisher
    from shared.platform.memory.thinking import ScriptedThinkingModel

    usage = Usage(input_tokens=12, output_tokens=6)
    answers: dict[str, Any] = {"/responses": [response(ANSWER, response_id=RESPONSE)]}
    writes = ToolCall(id="call_example", name="write_artifact", arguments=ARTIFACT)
    return {
        "identity": MemoryIdentity(SystemClock()),
        "chat_model": ScriptedChatModel([says(ANSWER, usage=usage)]),
        "passthroughs": Passthroughs({DEFAULT_UPSTREAM: ScriptedPassthrough(answers)}),
        "thinking_model": ScriptedThinkingModel([Thought(text="", calls=(writes,), usage=usage)]),
        "image_model": ScriptedImageModel(),
        "publisher": MemoryPublisher(),
    }


def make_examples(services: Services, provider: ProviderName | None, pay: Pay) -> None:
    """Make everything that the examples name, once. `services` are on `scripted_adapters`. None: nothing is bought.

    Raises ExampleNotMade.
    """
    from functions.http.app import create_app

    user = _Person(create_app(services), _token(services))
    user.get("/me")
    _give_credits(services)
    _make_key(services)
    user.post("/chat/conversations", _body("chat_start"))
    _make_image(services, user)
    _make_task(services, user)
    user.post("/openai/responses", _body("openai_responses"))
    user.post("/credits/reserve", {**_body("credits_reserve"), "ttl_seconds": RESERVED_SECONDS})
    if provider is not None:
        _buy(user, provider, pay)


def _token(services: Services) -> str:
    from shared.platform.memory.identity import MemoryIdentity

    identity = services.ports.identity()
    assert isinstance(identity, MemoryIdentity), "see scripted_adapters"
    return identity.token(identity.sign_up(USER["email"], uid=USER["uid"]))


def _body(operation: str) -> Json:
    return dict((bodies_of(operation) or {})["full"])


def _give_credits(services: Services) -> None:
    operation = operation_id("example", "credits")
    gift = Adjust(operation=operation, amount=CREDITS, note="Credits to try the API.", about=about("adjustment"))
    services.credits.ledger.execute(Uid(USER["uid"]), gift)


def _make_key(services: Services) -> None:
    wanted = KeyWanted(name="my server", scopes=frozenset({"chat", "images", "read"}))
    keys = ApiKeys(services.ports.documents(), services.clock, make_text=lambda: API_KEY)
    with suppress(KeyShownBefore):
        keys.create(Uid(USER["uid"]), wanted, operation_id("example", "api_key"), "")


def _make_image(services: Services, user: _Person) -> None:
    services.images.job.run(user.post("/images/generate", _body("images_generate"))["task_id"])


def _make_task(services: Services, user: _Person) -> None:
    """Make an agent task that has written a file and has paused, so that the task can be resumed or cancelled."""
    wanted = {**_body("agents_begin"), "tools": ["calculator", "write_artifact"], "max_steps": 1}
    services.agents.slice.run(user.post("/chat/agent-tasks", wanted)["id"])


def _buy(user: _Person, provider: ProviderName, pay: Pay) -> None:
    order = {**_body("payments_pay"), "provider": provider}
    begun = user.post("/payments/traditional", order)
    if begun["status"] != "settled":
        pay(begun["payment_id"], begun["checkout_url"])
    user.get(f"/payments/status/{begun['payment_id']}")


def _press_pay(provider: ProviderName, checkout_url: str) -> None:
    """Press the button that pays on the page of a stand-in."""
    form = {"action": stand_in_of(provider).pay_button, "email": USER["email"]}
    answer = requests.post(checkout_url, data=form, allow_redirects=False, timeout=PAGE_SECONDS_MAX)
    if not answer.ok:
        raise ExampleNotMade(f"The stand-in's page answered {answer.status_code}.")


if __name__ == "__main__":
    main()
