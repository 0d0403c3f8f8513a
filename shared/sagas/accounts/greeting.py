"""Greeting of a new user: open their account, and note in the profile the bonus that waits for them."""

from shared.kernel.events import log
from shared.kernel.ids import Uid
from shared.kernel.money import Micro
from shared.ledger.ledger import Ledger
from shared.users.profiles import Profiles


class Greeting:
    """Action of `on_user_created`. A second call, or a call for a user who has left, does nothing."""

    def __init__(self, profiles: Profiles, ledger: Ledger, *, bonus: Micro) -> None:
        self._profiles = profiles
        self._ledger = ledger
        self._bonus = bonus

    def greet(self, uid: Uid) -> bool:
        """Greet the user, and return True if this call was the first.

        An anonymous user could not claim a bonus and gets none.
        """
        profile = self._profiles.get(uid)
        if profile is None or profile.is_closed or profile.greeted_at is not None:
            return False
        self._ledger.open(uid)
        is_first = self._profiles.greeted(uid, None if profile.is_anonymous else self._bonus)
        if is_first:
            log("user_greeted", uid=uid, is_anonymous=profile.is_anonymous)
        return is_first
