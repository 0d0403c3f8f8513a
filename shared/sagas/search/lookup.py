"""Lookup of anything by its name: an address, a uid, or the id of an object or of a provider's transaction.

A name is looked up in all collections at once, in one read of few documents, however many users and payments there are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.kernel.documents import Document, Documents, Query, Where
from shared.kernel.ids import Uid, is_safe_id, is_uid
from shared.payments.providers import PROVIDERS
from shared.users.audit import AuditTrail
from shared.users.ports import Identity
from shared.users.principal import Principal

KEYS_MAX = 20
"""Most API keys that are shown for the last four characters."""
LAST_FOUR = 4
ADDRESS = "address"
"""Target on record for a search by e-mail address, which is not recorded itself."""
NOTHING = "nothing"
"""Target on record for a search that found nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedObject:
    """Object that has the searched name. `uid` is the owner, None for an object without an owner.

    `path` is the route of operators that shows the object, None if there is no such route.
    """

    kind: str
    id: str
    uid: Uid | None
    path: str | None = None


@dataclass(frozen=True, slots=True)
class NamedKind:
    """Kind of objects that are found by name: their collection, and the beginning of their ids before the name.

    `route` is the beginning of the operators' route; empty if the route of the owner shows the object.
    """

    kind: str
    collection: str
    prefix: str = ""
    route: str = ""

    def path(self, name: str) -> str:
        """Return the path of the document with this name."""
        return f"{self.collection}/{self.prefix}{name}"


USERS, PAYMENTS, MODELS = "/v1/admin/users/", "/v1/admin/payments/", "/v1/admin/models/"
KEYS = NamedKind("api_key", "api_keys")
KINDS: Sequence[NamedKind] = (
    NamedKind("user", "users", route=USERS),
    NamedKind("payment", "payments", route=PAYMENTS),
    KEYS,
    NamedKind("conversation", "conversations"),
    NamedKind("agent_task", "agent_tasks"),
    NamedKind("image_task", "image_tasks"),
    NamedKind("image", "images"),
    NamedKind("response", "responses"),
    NamedKind("crypto_address", "crypto_addresses"),
    NamedKind("model", "models", route=MODELS),
    NamedKind("package", "packages"),
    NamedKind("notice", "inbox"),
    *(NamedKind("transaction", "effects", f"{provider}:") for provider in PROVIDERS),
    *(NamedKind("notice", "inbox", f"{provider}:") for provider in PROVIDERS),
)
"""All kinds. A name is looked up in each, so their number bounds the reads of a search."""


class Lookup:
    """Finds objects for operators. Each search is on record."""

    def __init__(self, documents: Documents, identity: Identity, audit: AuditTrail) -> None:
        self._documents = documents
        self._identity = identity
        self._audit = audit

    def find(self, actor: Principal, name: str) -> list[NamedObject]:
        """Return all objects with this name. Raises StoreUnavailable.

        A name that names nothing is not recorded: it may be a secret that somebody pasted.
        """
        found = self._found(name)
        target = ADDRESS if "@" in name else name if found else NOTHING
        with self._audit.recording(actor.uid, "search", target, reason=None) as act:
            act.after = {"found": [f"{each.kind}:{each.id}" for each in found]}
        return found

    def _found(self, name: str) -> list[NamedObject]:
        found = self._by_address(name) if "@" in name else []
        if len(name) == LAST_FOUR:
            found += self._by_last_four(name)
        return [*found, *self._by_id(name)]

    def _by_address(self, name: str) -> list[NamedObject]:
        user = self._identity.find_by_email(name)
        return [] if user is None else [_user(user.uid)]

    def _by_last_four(self, name: str) -> list[NamedObject]:
        query = Query(collection=KEYS.collection, where=(Where("last_four", "==", name),), limit=KEYS_MAX)
        return [_finding(KEYS, document) for document in self._documents.query(query)]

    def _by_id(self, name: str) -> list[NamedObject]:
        """Return the objects with this id. A user without a profile is found by the login."""
        kinds = [each for each in KINDS if is_safe_id(name) or (each.collection == "users" and is_uid(name))]
        documents = self._documents.get_all([each.path(name) for each in kinds]) if kinds else []
        found = [_finding(kind, each) for kind, each in zip(kinds, documents, strict=True) if each is not None]
        is_user_known = any(each.kind == "user" for each in found)
        if is_uid(name) and not is_user_known and self._identity.existing([Uid(name)]):
            return [_user(Uid(name)), *found]
        return found


def _user(uid: Uid) -> NamedObject:
    return NamedObject(kind="user", id=uid, uid=uid, path=f"{USERS}{uid}")


def _finding(kind: NamedKind, document: Document) -> NamedObject:
    fields: Mapping[str, object] = document.data
    uid = document.id if kind.collection == "users" else fields.get("uid")
    owner, payment = Uid(uid) if isinstance(uid, str) else None, fields.get("payment")
    path = None if owner is None else f"{USERS}{owner}"
    if kind.route:
        path = f"{kind.route}{document.id}"
    elif isinstance(payment, str):
        path = f"{PAYMENTS}{payment}"
    return NamedObject(kind=kind.kind, id=document.id, uid=owner, path=path)
