"""IAM policies of projects and resources: bindings, and an etag that tells a concurrent change."""

import base64
import itertools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from emulator.stand_ins.google.errors import GoogleRefusal, invalid
from emulator.stand_ins.google.roles import ROLES, allows
from emulator.stand_ins.wire import Json, copied

MEMBER = re.compile(r"(user|group|domain|serviceAccount|principal|principalSet|deleted:\w+):\S+")
EVERYBODY = frozenset({"allUsers", "allAuthenticatedUsers"})
LEGACY_MEMBERS = ("projectOwner:", "projectEditor:", "projectViewer:")
POLICY_FIELDS = frozenset({"bindings", "etag", "version", "auditConfigs"})
_etags = itertools.count(1)


def _new_etag() -> str:
    return base64.b64encode(b"BwX" + next(_etags).to_bytes(5, "big")).decode()


@dataclass(slots=True)
class Policy:
    """Bindings of roles to members."""

    bindings: dict[str, set[str]] = field(default_factory=dict)
    etag: str = field(default_factory=_new_etag)

    def grant(self, role: str, *members: str) -> None:
        """Add members to a role, as a test or a console would."""
        self.bindings.setdefault(role, set()).update(members)
        self.etag = _new_etag()

    def revoke(self, role: str, member: str) -> None:
        self.bindings.get(role, set()).discard(member)
        self.etag = _new_etag()

    def roles_of(self, member: str) -> set[str]:
        """Return the roles of a member, and those that everybody has."""
        whom = {member, *EVERYBODY}
        return {role for role, members in self.bindings.items() if members & whom}

    def allows(self, member: str, permission: str) -> bool:
        return any(allows(role, permission) for role in self.roles_of(member))

    def as_json(self) -> Json:
        told = [{"role": role, "members": sorted(members)} for role, members in self.bindings.items() if members]
        return {"version": 1, "etag": self.etag, **({"bindings": told} if told else {})}

    def replace(self, policy: Json, *, mask: str, exists: Callable[[str], bool]) -> Json:
        """Take a new policy. Without an etag the last writer wins, as at Google. `exists` knows service accounts."""
        etag = policy.get("etag")
        if etag and etag != self.etag:
            raise GoogleRefusal(
                "ABORTED",
                "There were concurrent policy changes. Please retry the whole read-modify-write with exponential "
                f"backoff. The request's ETag '{etag}' did not match the current policy's ETag '{self.etag}'.",
            )
        for each in mask.split(",") if mask else []:
            if each not in POLICY_FIELDS:
                raise invalid(f"Invalid update mask path: {each}", field="update_mask")
        if not mask or "bindings" in mask.split(","):
            self.bindings = _bindings_of(policy.get("bindings") or [], exists)
        self.etag = _new_etag()
        return copied(self.as_json())


def _bindings_of(given: list[Json], exists: Callable[[str], bool]) -> dict[str, set[str]]:
    bindings: dict[str, set[str]] = {}
    for each in given:
        role = str(each.get("role", ""))
        if role not in ROLES and not role.startswith(("projects/", "organizations/")):
            raise invalid(f"Role {role} is not supported for this resource.")
        bindings.setdefault(role, set()).update(_members_of(each.get("members") or [], exists))
    return bindings


def _members_of(given: Iterable[str], exists: Callable[[str], bool]) -> Iterable[str]:
    for member in given:
        is_known_kind = member in EVERYBODY or member.startswith(LEGACY_MEMBERS) or MEMBER.fullmatch(member)
        if not is_known_kind:
            raise invalid(f"The member {member} is of an unknown type. Please set a valid type prefix for the member.")
        email = member.removeprefix("serviceAccount:")
        if email != member and not exists(email):
            raise invalid(f"Service account {email} does not exist.")
        yield member
