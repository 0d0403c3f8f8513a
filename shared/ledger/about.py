"""Purposes of entries, in the user's words: a purpose, and the model, API key and object that the entry refers to.

An entry names its purpose in its body (`about`). If an entry is older than this field, its postings and its hold give
the purpose. No value here is free text: all are the platform's own names and ids.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from shared.ledger.account import SUSPENSION, Hold
from shared.ledger.entries import BREAKAGE, Kind

Purpose = Literal[
    "chat",
    "openai",
    "image",
    "agent",
    "tool",
    "embedding",
    "purchase",
    "bonus",
    "refund",
    "dispute",
    "adjustment",
    "expiry",
    "reservation",
]
RefType = Literal["message", "call", "image_task", "agent_task", "payment", "reservation"]

LABELS: Mapping[str, str] = {
    "chat": "Chat",
    "openai": "API call",
    "image": "Image",
    "agent": "Agent",
    "tool": "Agent's tool",
    "embedding": "Embedding",
    "purchase": "Purchase",
    "bonus": "Bonus",
    "refund": "Refund",
    "dispute": "Disputed payment",
    "adjustment": "Adjustment",
    "expiry": "Expired credits",
    "reservation": "Reservation",
}
"""Label of each purpose. A model's name may follow the label."""
PURPOSES = tuple(LABELS)
CALL_PURPOSES: frozenset[str] = frozenset({"chat", "openai", "image", "agent", "tool", "embedding"})
"""Purposes of holds that calls place. Only reservations have a note of their owner."""
REF_TYPES = ("message", "call", "image_task", "agent_task", "payment", "reservation")

PRICE_VERSION, MARKUP = "price_version", "markup_percent"
"""Names of the tags with the version of the model's prices, and with the percentage that is added to them."""
MONEY = "money"
"""Name of the tag with the money of a payment that an entry is about, see `shared.ledger.money_told`."""
REVENUE, WORLD, KEY = "revenue:", "world:", "key:"
SOURCES: Mapping[str, Purpose] = {WORLD: "purchase", "promo:": "bonus", "refund:": "refund"}
BY_KIND: Mapping[Kind, Purpose] = {
    "grant": "bonus",
    "refund": "refund",
    "charge": "reservation",
    "expiry": "expiry",
    "reversal": "refund",
    "adjustment": "adjustment",
    "hold": "reservation",
    "extension": "reservation",
    "release": "reservation",
    "status": "adjustment",
}

AboutTags = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Object that an entry is about."""

    type: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """Purpose of an entry or hold.

    `model`, `key_id` and `ref` are None where the entry concerns no model, key or object.
    """

    purpose: str
    model: str | None = None
    key_id: str | None = None
    ref: Reference | None = None

    @property
    def label(self) -> str:
        """Label of the purpose for a person, with the model's name."""
        name = LABELS.get(self.purpose, self.purpose)
        return name if self.model is None else f"{name} · {self.model}"

    def is_named(self, ref: str) -> bool:
        """Return True if `ref` names the object of this entry, as `type:id` or by id alone."""
        return self.ref is not None and ref in {self.ref.id, f"{self.ref.type}:{self.ref.id}"}


def about(
    purpose: Purpose,
    *,
    ref: tuple[RefType, str] | None = None,
    model: str = "",
    price_version: int | None = None,
    markup_percent: int = 0,
    principal: str = "",
    money: str = "",
) -> AboutTags:
    """Return the tags that a command gives to its entries. If `principal` is an API key, the tags name the key.

    `price_version` is the version of the model's prices at which the entries charge, None without a model, and
    `markup_percent` what is added to these prices. `money` is the text of the payment's money that moved.
    """
    told = {
        "key": principal.removeprefix(KEY) if principal.startswith(KEY) else "",
        MARKUP: str(markup_percent) if markup_percent else "",
        "model": model,
        MONEY: money,
        PRICE_VERSION: "" if price_version is None else str(price_version),
        "purpose": purpose,
        "ref": "" if ref is None else f"{ref[0]}:{ref[1]}",
    }
    return tuple((name, text) for name, text in told.items() if text)


EXPIRY: AboutTags = about("expiry")


def about_hold(hold: Hold) -> About:
    """Return the purpose of a hold."""
    return _told(dict(hold.about)) if hold.about else _by_hold(hold)


def about_entry(body: Mapping[str, Any], hold: Hold | None = None) -> About:
    """Return the purpose of an entry.

    The purpose comes from the entry's body, else from the hold that the entry names, else from the postings.
    """
    if "about" in body:
        return _told(body["about"])
    if hold is not None:
        return about_hold(hold)
    purpose = _purpose_posted(body)
    model = body.get("tags", {}).get("model") or body.get("hold", {}).get("model")
    return About(purpose=purpose, model=model, key_id=body.get("tags", {}).get("key"))


def _told(tags: Mapping[str, str]) -> About:
    kind, colon, name = tags.get("ref", "").partition(":")
    return About(
        purpose=tags["purpose"],
        model=tags.get("model"),
        key_id=tags.get("key"),
        ref=Reference(type=kind, id=name) if colon else None,
    )


def _by_hold(hold: Hold) -> About:
    if hold.purpose == SUSPENSION:
        return About(purpose="dispute")
    is_key = hold.principal.startswith(KEY)
    return About(
        purpose="reservation" if hold.is_reservation else _known(hold.purpose),
        model=hold.model,
        key_id=hold.principal.removeprefix(KEY) if is_key else None,
        ref=Reference(type="reservation", id=hold.id) if hold.is_reservation else None,
    )


def _known(purpose: str) -> str:
    """Return `purpose`, or `adjustment` if the purpose is unknown.

    A hold of unknown purpose renews a cap and charges nothing.
    """
    return purpose if purpose in LABELS else "adjustment"


def _purpose_posted(body: Mapping[str, Any]) -> str:
    """Return the purpose that the sources and destinations of an entry's postings imply."""
    if body["kind"] == "expiry" and any(item["to"] == BREAKAGE for item in body["postings"]):
        return "expiry"
    for item in body["postings"]:
        if item["to"].startswith(REVENUE):
            return _known(item["to"].removeprefix(REVENUE))
        for start, purpose in SOURCES.items():
            if item["from"].startswith(start) and body["kind"] != "reversal":
                return purpose
    return BY_KIND[body["kind"]]
