"""The parts that know users."""

from typing import TYPE_CHECKING

from shared.bootstrap.ledger import LedgerParts
from shared.bootstrap.parts import part

if TYPE_CHECKING:
    from shared.sagas.authority import Authority
    from shared.sagas.first_sight import FirstSight
    from shared.sagas.greeting import Greeting
    from shared.sagas.key_budgets import KeyBudgets
    from shared.sagas.mailbox_debts import MailboxDebts
    from shared.sagas.welcome_bonus import WelcomeBonus
    from shared.users.api_keys import ApiKeys
    from shared.users.audit import AuditTrail
    from shared.users.end_users import EndUsers
    from shared.users.key_lookup import KeyLookup
    from shared.users.logins import Logins
    from shared.users.profiles import Profiles


class UserParts(LedgerParts):
    """Who users are, their keys, their greeting."""

    @part
    def profiles(self) -> "Profiles":
        """What is known about users."""
        from shared.users.profiles import Profiles

        return Profiles(self.documents, self.clock)

    @part
    def first_sight(self) -> "FirstSight":
        """The first call of a user."""
        from shared.sagas.first_sight import FirstSight

        return FirstSight(self.profiles, self.ledger, self.clock)

    @part
    def greeting(self) -> "Greeting":
        """What a new user is offered."""
        from shared.sagas.greeting import Greeting

        return Greeting(self.profiles, self.ledger, bonus=self.settings.welcome_bonus_amount)

    @part
    def welcome_bonus(self) -> "WelcomeBonus":
        """The welcome bonus."""
        from shared.sagas.welcome_bonus import WelcomeBonus

        return WelcomeBonus(self.documents, self.ledger, self.profiles, self.clock, self.settings, self.domain_lists)

    @part
    def mailbox_debts(self) -> "MailboxDebts":
        """What users owed who left."""
        from shared.sagas.bonus_caps import BonusCaps
        from shared.sagas.mailbox_debts import MailboxDebts
        from shared.users.mailbox import mark_keys

        settings = self.settings
        keys = mark_keys(settings.marks_secrets, [key.seed for key in settings.ledger_signing_keys])
        uncapped = settings.welcome_bonus_uncapped_domains
        return MailboxDebts(
            self.documents,
            self.ledger,
            self.profiles,
            BonusCaps(self.documents, self.domain_lists, self.clock, keys, uncapped),
            keys,
            is_verification_needed="verified" in settings.welcome_bonus_requires,
        )

    @part
    def api_keys(self) -> "ApiKeys":
        """API keys."""
        from shared.users.api_keys import ApiKeys

        return ApiKeys(self.documents, self.clock)

    @part
    def key_lookup(self) -> "KeyLookup":
        """Whose API key this is."""
        from shared.users.key_lookup import KeyLookup

        return KeyLookup(self.api_keys, self.clock)

    @part
    def end_users(self) -> "EndUsers":
        """Users' pseudonyms for model providers."""
        from shared.users.end_users import EndUsers

        return EndUsers(self.settings.ledger_signing_keys[0].seed)

    @part
    def logins(self) -> "Logins":
        """Users' logins as the identity provider has them."""
        from shared.users.logins import Logins

        return Logins(self.identity, self.clock)

    @part
    def authority(self) -> "Authority":
        """Authority of work that goes on behind a request."""
        from shared.sagas.authority import StandingAuthority

        return StandingAuthority(self.logins, self.api_keys, self.clock)

    @part
    def key_budgets(self) -> "KeyBudgets":
        """What API keys may spend."""
        from shared.sagas.key_budgets import KeyBudgets

        return KeyBudgets(self.ledger, self.clock)

    @part
    def audit(self) -> "AuditTrail":
        """What operators did."""
        from shared.users.audit import AuditTrail

        return AuditTrail(self.documents, self.clock)
