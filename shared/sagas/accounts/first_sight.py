"""First sight of a verified caller: create their profile and account, and refuse a user who has left."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

from shared.kernel.clock import Clock
from shared.kernel.ids import Uid
from shared.ledger.errors import AccountClosed
from shared.ledger.ledger import Ledger
from shared.users.logins import LoginDisabled
from shared.users.principal import Principal
from shared.users.profiles import Profile, Profiles

SEEN_MAX = 10_000
SEEN_LIFETIME_SECONDS = 10.0
"""Seconds until an instance notices that a user has left at another instance; `leaving` sweeps again after that."""


CREDENTIALS = ("firebase", "api_key")
"""Kinds of credentials, remembered separately: a token says who the user is, a key only which user owns the key."""


@dataclass(frozen=True, slots=True)
class _SeenCaller:
    principal: Principal
    profile: Profile
    until: float


class FirstSight:
    """Remembers callers: a known caller costs one lookup in memory, and one read after `SEEN_LIFETIME_SECONDS`."""

    def __init__(self, profiles: Profiles, ledger: Ledger, clock: Clock) -> None:
        self._profiles = profiles
        self._ledger = ledger
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: OrderedDict[tuple[Uid, str], _SeenCaller] = OrderedDict()

    def see(self, principal: Principal) -> Profile:
        """Return the caller's profile, with an open account.

        Raises AccountClosed, always, if the user has left, and LoginDisabled if an operator has barred the user.
        """
        seen = self._last_seen(principal)
        if seen is not None and _says_the_same(seen.principal, principal) and self._clock.monotonic() < seen.until:
            return seen.profile
        profile = self._profiles.ensure(principal)
        if profile.is_closed:
            raise AccountClosed
        if profile.is_disabled:
            raise LoginDisabled
        if seen is None:
            self._ledger.open(principal.uid)
        self._remember(principal, profile)
        return profile

    def forget_caller(self, uid: Uid) -> None:
        """Forget the user, so that the next call reads the profile again."""
        with self._lock:
            for auth in CREDENTIALS:
                self._seen.pop((uid, auth), None)

    def _last_seen(self, principal: Principal) -> _SeenCaller | None:
        with self._lock:
            return self._seen.get((principal.uid, principal.auth))

    def _remember(self, principal: Principal, profile: Profile) -> None:
        until = self._clock.monotonic() + SEEN_LIFETIME_SECONDS
        with self._lock:
            known_as = (principal.uid, principal.auth)
            self._seen[known_as] = _SeenCaller(principal, profile, until)
            self._seen.move_to_end(known_as)
            while len(self._seen) > SEEN_MAX:
                self._seen.popitem(last=False)


def _says_the_same(seen: Principal, principal: Principal) -> bool:
    """Return True if the remembered profile still holds.

    All keys of a user say the same; a token may say more than the last.
    """
    return principal.key is not None or seen == principal
