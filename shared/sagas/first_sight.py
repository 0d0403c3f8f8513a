"""First sight of a verified caller: their profile and account exist from here on, and who has left stays out."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

from shared.kernel.clock import Clock
from shared.kernel.ids import Uid
from shared.ledger.errors import AccountClosed
from shared.ledger.ledger import Ledger
from shared.users.principal import Principal
from shared.users.profiles import Profile, Profiles

SEEN_MAX = 10_000
SEEN_LIFETIME_SECONDS = 10.0
"""How long an instance may take to hear that a user left elsewhere; `leaving` sweeps again after that."""


@dataclass(frozen=True, slots=True)
class _Seen:
    principal: Principal
    profile: Profile
    until: float


class FirstSight:
    """Remembers whom it has seen, so that a known caller costs one lookup in memory, and later one read."""

    def __init__(self, profiles: Profiles, ledger: Ledger, clock: Clock) -> None:
        self._profiles = profiles
        self._ledger = ledger
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: OrderedDict[Uid, _Seen] = OrderedDict()

    def see(self, principal: Principal) -> Profile:
        """The caller's profile; their account is open. Raises AccountClosed for a user who has left, for ever."""
        seen = self._last_seen(principal.uid)
        if seen is not None and seen.principal == principal and self._clock.monotonic() < seen.until:
            return seen.profile
        profile = self._profiles.ensure(principal)
        if profile.is_closed:
            raise AccountClosed
        if seen is None:
            self._ledger.open(principal.uid)
        self._remember(principal, profile)
        return profile

    def forget(self, uid: Uid) -> None:
        """Look again next time."""
        with self._lock:
            self._seen.pop(uid, None)

    def _last_seen(self, uid: Uid) -> _Seen | None:
        with self._lock:
            return self._seen.get(uid)

    def _remember(self, principal: Principal, profile: Profile) -> None:
        until = self._clock.monotonic() + SEEN_LIFETIME_SECONDS
        with self._lock:
            self._seen[principal.uid] = _Seen(principal, profile, until)
            self._seen.move_to_end(principal.uid)
            while len(self._seen) > SEEN_MAX:
                self._seen.popitem(last=False)
