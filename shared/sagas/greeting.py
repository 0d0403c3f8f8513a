"""Greeting a new user: their account is open, and the profile says which bonus waits for them."""

from shared.kernel.events import log
from shared.kernel.ids import Uid
from shared.kernel.money import Micro
from shared.ledger.ledger import Ledger
from shared.users.profiles import Profiles


class Greeting:
    """What `on_user_created` does; asked twice, or for a user who has left, it does nothing."""

    def __init__(self, profiles: Profiles, ledger: Ledger, *, bonus: Micro) -> None:
        self._profiles = profiles
        self._ledger = ledger
        self._bonus = bonus

    def greet(self, uid: Uid) -> bool:
        """Whether this call was the one that greeted. Anonymous users are offered no bonus: they could not claim it."""
        profile = self._profiles.get(uid)
        if profile is None or profile.is_closed or profile.greeted_at is not None:
            return False
        self._ledger.open(uid)
        is_first = self._profiles.greeted(uid, None if profile.is_anonymous else self._bonus)
        if is_first:
            log("user_greeted", uid=uid, is_anonymous=profile.is_anonymous)
        return is_first
