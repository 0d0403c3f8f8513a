"""Rules of operators' acts: the actor is an admin now, and nobody favours their own account."""

from shared.kernel.errors import Forbidden, InvalidValue
from shared.kernel.ids import Uid
from shared.users.ports import Identity, UserNotFound
from shared.users.principal import Principal
from shared.users.roles import ACT, ADMIN, require


class OwnAccount(Forbidden):
    """The act gives something to the operator who performs the act."""

    code = "own_account"

    def __init__(self) -> None:
        super().__init__("Nobody may do this to their own account; ask another admin.")


class AdminCheck:
    """Checks the admin role at the login itself, since a token states removed roles for up to an hour."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def require_admin(self, actor: Principal) -> None:
        """Raise Forbidden unless the actor is an admin now."""
        require(actor, ACT)
        if not self._is_admin(actor.uid):
            raise Forbidden("This needs a role that you do not have any more.")

    def _is_admin(self, uid: Uid) -> bool:
        try:
            login = self._identity.get_user(uid)
        except UserNotFound:
            return False
        return not login.is_disabled and ADMIN in login.roles


def require_another(actor: Principal, uid: Uid) -> None:
    """Raise OwnAccount if the actor would act on their own account."""
    if actor.uid == uid:
        raise OwnAccount


def required_reason(reason: str) -> str:
    """Return the reason of an act, without blanks around. Raises InvalidValue for an empty reason."""
    if not reason.strip():
        raise InvalidValue("reason", "must say why")
    return reason.strip()


def told(note: str) -> str:
    """Return a note's part of a fingerprint; an act without a note has the fingerprint from before notes existed."""
    return f"\n{note.strip()}" if note.strip() else ""
