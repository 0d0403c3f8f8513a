"""Webhook endpoints of a stand-in Stripe. Their secrets are shown once, when an endpoint is made."""

from emulator.stand_ins.stand_in import token
from emulator.stand_ins.stripe import objects
from emulator.stand_ins.stripe.errors import invalid, missing
from emulator.stand_ins.stripe.store import Store
from emulator.stand_ins.wire import Json, copied

KIND = "webhook_endpoint"
ENDPOINTS_MAX = 16
SECRET_LENGTH = 32
CHANGEABLE = ("description", "enabled_events", "metadata", "url")


class Endpoints:
    """Endpoints of one account. Registering an endpoint here does not send events there: `target` does."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._endpoints: dict[str, Json] = {}
        self.secrets: dict[str, str] = {}
        """Signing secrets by endpoint."""

    def create(self, given: Json) -> Json:
        if len(self._endpoints) >= ENDPOINTS_MAX:
            raise invalid(f"You have reached the maximum of {ENDPOINTS_MAX} test webhook endpoints.")
        _check(given)
        endpoint: Json = {
            "id": objects.new_id("we"),
            "object": KIND,
            "api_version": given.get("api_version"),
            "application": None,
            "created": self._store.now(),
            "description": given.get("description") or None,
            "enabled_events": given["enabled_events"],
            "livemode": False,
            "metadata": given.get("metadata") or {},
            "status": "enabled",
            "url": given["url"],
        }
        self._endpoints[endpoint["id"]] = endpoint
        self.secrets[endpoint["id"]] = f"whsec_{token(SECRET_LENGTH)}"
        return {**copied(endpoint), "secret": self.secrets[endpoint["id"]]}

    def list(self, asked: Json) -> Json:
        newest = [copied(each) for each in reversed(self._endpoints.values())]
        ids = [each["id"] for each in newest]
        start = ids.index(asked["starting_after"]) + 1 if asked.get("starting_after") in ids else 0
        size = int(asked.get("limit", 10))
        page = newest[start : start + size]
        return {"object": "list", "data": page, "has_more": start + size < len(newest), "url": "/v1/webhook_endpoints"}

    def retrieve(self, endpoint_id: str, given: Json) -> Json:
        return copied(self._known(endpoint_id))

    def update(self, endpoint_id: str, given: Json) -> Json:
        endpoint = self._known(endpoint_id)
        _check(given)
        endpoint |= {name: given[name] for name in CHANGEABLE if name in given}
        if "disabled" in given:
            endpoint["status"] = "disabled" if given["disabled"] else "enabled"
        return copied(endpoint)

    def delete(self, endpoint_id: str, given: Json) -> Json:
        self._known(endpoint_id)
        del self._endpoints[endpoint_id]
        return {"id": endpoint_id, "object": KIND, "deleted": True}

    def _known(self, endpoint_id: str) -> Json:
        if endpoint_id not in self._endpoints:
            raise missing(KIND, endpoint_id, param="webhook_endpoint")
        return self._endpoints[endpoint_id]


def _check(given: Json) -> None:
    if not str(given.get("url", "https://")).startswith(("https://", "http://")):
        raise invalid("Invalid URL: An explicit scheme (such as https) must be provided.", param="url")
    if not given.get("enabled_events", ["*"]):
        raise invalid("You must pass at least one event.", param="enabled_events")
