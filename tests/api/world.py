"""What the API tests stand on: the whole application over memory adapters, people in it, and one JSON client."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from flask import Flask
from flask.testing import FlaskClient

from functions.http.app import create_app
from shared.ai.openai.passthrough import Passthroughs
from shared.ai.ports import DEFAULT_UPSTREAM
from shared.bootstrap import Services, in_memory
from shared.kernel.ids import LotId, Uid, new_id, operation_id
from shared.kernel.money import Micro
from shared.ledger.commands import Grant
from shared.platform.memory.chat_model import ScriptedChatModel
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from shared.platform.memory.identity import MemoryIdentity
from shared.platform.memory.passthrough import ScriptedPassthrough
from tests.rules.table import COLLECTIONS
from tests.support.indexes import IndexCheckedDocuments

Response: TypeAlias = Any
"""werkzeug's `TestResponse`; its `json` is what the test says it is, where the type would only say `Any | None`."""

CREDIT = 1_000_000
MODEL = {
    "kind": "chat",
    "display_name": "Small",
    "input_usd_per_mtok": "0.15",
    "output_usd_per_mtok": "0.6",
    "context_window": 8_192,
    "max_output_tokens": 1_024,
    "expected_output_tokens": 64,
    "capabilities": ["chat"],
}


@dataclass(slots=True)
class World:
    """One backend and its clients."""

    env: Mapping[str, str] = field(default_factory=dict)
    clock: Any = field(default_factory=ManualClock)
    chat_model: ScriptedChatModel = field(default_factory=ScriptedChatModel)
    passthrough: ScriptedPassthrough = field(default_factory=ScriptedPassthrough)
    services: Services = field(init=False)
    app: Flask = field(init=False)
    client: FlaskClient = field(init=False)

    def __post_init__(self) -> None:
        """Wire it, and offer one model."""
        documents = IndexCheckedDocuments(MemoryDocuments(), collections=COLLECTIONS, is_numbered=True)
        parts = {
            "chat_model": self.chat_model,
            "passthroughs": Passthroughs({DEFAULT_UPSTREAM: self.passthrough}),
            "documents": documents,
        }
        self.services = in_memory(self.env, clock=self.clock, **parts)
        self.app = create_app(self.services)
        self.client = self.app.test_client()
        self.services.models.catalogue.put("gpt-4o-mini", MODEL)

    @property
    def identity(self) -> MemoryIdentity:
        """The people of this world."""
        identity = self.services.ports.identity()
        assert isinstance(identity, MemoryIdentity)
        return identity

    def person(self, *roles: str, email: str | None = None, credits_: int = 0, **details: Any) -> "Person":
        """Somebody who signed up, perhaps with roles, perhaps with credits."""
        address = email or f"{new_id('p')}@example.com"
        uid = self.identity.sign_up(address, claims={"roles": list(roles)}, **details)
        return self._with_credits(Person(world=self, uid=uid, token=self.identity.token(uid)), credits_)

    def guest(self) -> "Person":
        """Somebody anonymous."""
        uid = self.identity.sign_up()
        return Person(world=self, uid=uid, token=self.identity.token(uid))

    def call(self, method: str, path: str, *, body: Any = None, **options: Any) -> Response:
        """One request to `/v1…`; `body` goes as JSON."""
        if body is not None:
            options |= {"data": json.dumps(body), "content_type": "application/json"}
        return self.client.open(f"/v1{path}", method=method, **options)

    def _with_credits(self, person: "Person", credits_: int) -> "Person":
        if credits_:
            self.services.credits.ledger.open(person.uid)
            operation = operation_id("test", new_id("grant"))
            amount = Micro(credits_ * CREDIT)
            lot = LotId(new_id("lot"))
            self.services.credits.ledger.execute(
                person.uid, Grant(operation=operation, amount=amount, lot=lot, source="test")
            )
        return person


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody with a token."""

    world: World
    uid: Uid
    token: str

    def call(self, method: str, path: str, *, body: Any = None, key: str | None = None, **options: Any) -> Response:
        """One request in this person's name."""
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        if key is not None:
            headers["Idempotency-Key"] = key
        return self.world.call(method, path, body=body, headers=headers, **options)

    def get(self, path: str, **options: Any) -> Response:
        """Read."""
        return self.call("GET", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> Response:
        """Act."""
        return self.call("POST", path, body=body, **options)

    def key(self, *scopes: str, **wanted: Any) -> "Person":
        """The same person, calling with a new API key. A key that may top up needs a cap."""
        if "top_up" in scopes:
            wanted.setdefault("spend_cap", {"amount": "1000", "period": "day"})
        made = self.post("/api-keys", {"name": "k", "scopes": scopes or ["chat"], **wanted})
        assert made.status_code == 201, made.json
        return Person(world=self.world, uid=self.uid, token=made.json["key"])

    @property
    def available(self) -> str:
        """What this person can spend, as the API says it."""
        return str(self.get("/credits/balance").json["available"])


def problem(response: Response) -> tuple[int, str]:
    """The status and the code of a refusal, which is a problem document in every respect."""
    assert response.mimetype == "application/problem+json", response.get_data(as_text=True)
    told = response.get_json()
    assert told["status"] == response.status_code
    assert told["type"] == f"urn:ics:problem:{told['code']}"
    assert {"title", "detail", "params"} <= told.keys()
    return response.status_code, told["code"]
