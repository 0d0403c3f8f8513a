"""Operators' acts on logins: sign a user out everywhere, lock a login, unlock it; each act is recorded."""

from shared.kernel.ids import Uid
from shared.sagas.accounts.first_sight import FirstSight
from shared.users.audit import AuditTrail
from shared.users.operator_acts import AdminCheck, require_another, required_reason
from shared.users.ports import Identity
from shared.users.principal import Principal
from shared.users.profiles import Profiles


class LoginActs:
    """Acts on logins. Each act may be repeated: a repetition changes nothing, and repairs an act that was cut short."""

    def __init__(self, identity: Identity, profiles: Profiles, first_sight: FirstSight, audit: AuditTrail) -> None:
        self._identity = identity
        self._profiles = profiles
        self._first_sight = first_sight
        self._audit = audit
        self._check = AdminCheck(identity)

    def sign_out(self, actor: Principal, uid: Uid, reason: str) -> None:
        """Sign the user out everywhere. Raises UserNotFound.

        ID tokens end within an hour; operators' routes refuse them at once. API keys are no sign-in, and stay.
        """
        self._check.require_admin(actor)
        why = required_reason(reason)
        self._identity.get_user(uid)
        with self._audit.recording(actor.uid, "sign_out", uid, reason=why):
            self._identity.sign_out(uid)

    def disable(self, actor: Principal, uid: Uid, reason: str) -> None:
        """Lock another user's login, and refuse all calls of the user and of their API keys within seconds.

        Background work ends at the next check of authority; holds run out. Raises OwnAccount, UserNotFound.
        """
        self._check.require_admin(actor)
        why = required_reason(reason)
        before = {"disabled": self._identity.get_user(uid).is_disabled}
        with self._audit.recording(actor.uid, "disable_login", uid, reason=why, before=before) as act:
            require_another(actor, uid)
            self._profiles.set_disabled(uid, is_disabled=True)
            self._first_sight.forget_caller(uid)
            self._identity.set_disabled(uid, is_disabled=True)
            self._identity.sign_out(uid)
            act.after = {"disabled": True}

    def enable(self, actor: Principal, uid: Uid, reason: str) -> None:
        """Unlock another user's login. The user signs in again, and API keys work again.

        Raises OwnAccount, UserNotFound.
        """
        self._check.require_admin(actor)
        why = required_reason(reason)
        before = {"disabled": self._identity.get_user(uid).is_disabled}
        with self._audit.recording(actor.uid, "enable_login", uid, reason=why, before=before) as act:
            require_another(actor, uid)
            self._identity.set_disabled(uid, is_disabled=False)
            self._profiles.set_disabled(uid, is_disabled=False)
            self._first_sight.forget_caller(uid)
            act.after = {"disabled": False}
