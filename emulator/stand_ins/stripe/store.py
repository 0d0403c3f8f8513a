"""Everything a stand-in Stripe knows: objects by id, in the order they were made, and the events that tell of them."""

from collections.abc import Callable
from typing import Any

from emulator.stand_ins.stripe import objects
from emulator.stand_ins.stripe.errors import missing
from emulator.stand_ins.wire import Json, copied

NO_REQUEST: Json = {"id": None, "idempotency_key": None}


class Store:
    """Objects of one account. The caller holds the stand-in's lock."""

    def __init__(self, *, now: Callable[[], float], announce: Callable[[Json], None]) -> None:
        self._now = now
        self._announce = announce
        self._objects: dict[str, Json] = {}
        self._kinds: dict[str, list[Json]] = {}
        self._by: dict[tuple[str, str], list[Json]] = {}
        self.line_items: dict[str, list[Json]] = {}  # by session
        self.intent_data: dict[str, Json] = {}  # by session: what its payment intent will be made with
        self.receipts: dict[str, Json] = {}  # charges by the secret name of their receipt
        self.deleted: set[str] = set()  # customers
        self.request: Json = NO_REQUEST  # the API call that is being answered
        self.since = int(now())

    def now(self) -> int:
        return int(self._now())

    def clear(self) -> None:
        self._objects.clear()
        self._kinds.clear()
        self._by.clear()
        self.line_items.clear()
        self.intent_data.clear()
        self.receipts.clear()
        self.deleted.clear()

    def add(self, thing: Json) -> Json:
        self._objects[thing["id"]] = thing
        self._kinds.setdefault(thing["object"], []).append(thing)
        for name in ("charge", "payment_intent"):
            if isinstance(thing.get(name), str):
                self.link(thing, name)
        return thing

    def link(self, thing: Json, name: str) -> None:
        """Let an object be found by the charge or intent to which it belongs."""
        self._by.setdefault((thing["object"], thing[name]), []).append(thing)

    def get(self, kind: str, object_id: str, *, param: str = "id") -> Json:
        """Return the object with this id. Raises StripeError, as Stripe refuses an unknown id."""
        thing = self._objects.get(object_id)
        if thing is None or thing["object"] != kind:
            raise missing(kind, object_id, param=param)
        return thing

    def find(self, object_id: str) -> Json | None:
        return self._objects.get(object_id)

    def all(self, kind: str) -> list[Json]:
        """Return all objects of this kind, oldest first."""
        return self._kinds.get(kind, [])

    def of(self, kind: str, owner_id: str) -> list[Json]:
        """Return the objects of this kind that belong to a charge or an intent, oldest first."""
        return self._by.get((kind, owner_id), [])

    def tell(self, kind: str, thing: Json, before: Json | None = None) -> Json:
        """Announce an event with the object's present state, and return the event.

        `before` holds the earlier values of the fields that an update has changed.
        """
        event = objects.event(kind, copied(thing), self.now(), dict(self.request), before)
        self.add(event)
        self._announce(event)
        return event

    def change(self, thing: Json, **changes: Any) -> Json:
        """Change fields in place, and return the earlier values in the form of an update event."""
        before = {name: thing.get(name) for name, value in changes.items() if thing.get(name) != value}
        thing.update(changes)
        return before
