"""Parts for users: profiles, logins, API keys, greeting and welcome bonus."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.bootstrap.credits import CreditServices
from shared.bootstrap.parts import part
from shared.bootstrap.ports import Ports
from shared.kernel.clock import Clock
from shared.kernel.settings import Settings

if TYPE_CHECKING:
    from shared.sagas.accounts.first_sight import FirstSight
    from shared.sagas.accounts.greeting import Greeting
    from shared.sagas.accounts.mailbox_debts import MailboxDebts
    from shared.sagas.accounts.welcome_bonus import WelcomeBonus
    from shared.sagas.metering.authority import Authority
    from shared.sagas.metering.key_budgets import KeyBudgets
    from shared.users.api_keys import ApiKeys
    from shared.users.audit import AuditTrail
    from shared.users.end_users import EndUsers
    from shared.users.key_lookup import KeyLookup
    from shared.users.logins import Logins
    from shared.users.looks import Looks
    from shared.users.profiles import Profiles


@dataclass(eq=False)
class UserServices:
    """Parts for users: profiles, logins, API keys, greeting and welcome bonus."""

    settings: Settings
    clock: Clock
    ports: Ports
    credits: CreditServices

    @part
    def profiles(self) -> "Profiles":
        """Build the store of users' profiles."""
        from shared.users.profiles import Profiles

        return Profiles(self.ports.documents(), self.clock)

    @part
    def first_sight(self) -> "FirstSight":
        """Build the saga that opens profile and account at a user's first call."""
        from shared.sagas.accounts.first_sight import FirstSight

        return FirstSight(self.profiles, self.credits.ledger, self.clock)

    @part
    def greeting(self) -> "Greeting":
        """Build the saga that greets a new user and offers the welcome bonus."""
        from shared.sagas.accounts.greeting import Greeting

        return Greeting(self.profiles, self.credits.ledger, bonus=self.settings.welcome_bonus_amount)

    @part
    def welcome_bonus(self) -> "WelcomeBonus":
        """Build the saga that grants the welcome bonus."""
        from shared.sagas.accounts.welcome_bonus import WelcomeBonus

        return WelcomeBonus(
            self.ports.documents(),
            self.credits.ledger,
            self.profiles,
            self.clock,
            self.settings,
            self.ports.domain_lists(),
        )

    @part
    def mailbox_debts(self) -> "MailboxDebts":
        """Build the store of debts of users who left, by mailbox."""
        from shared.sagas.accounts.bonus_caps import BonusCaps
        from shared.sagas.accounts.mailbox_debts import MailboxDebts
        from shared.users.mailbox import mark_keys

        settings = self.settings
        keys = mark_keys(settings.marks_secrets, [key.seed for key in settings.ledger_signing_keys])
        uncapped = settings.welcome_bonus_uncapped_domains
        return MailboxDebts(
            self.ports.documents(),
            self.credits.ledger,
            self.profiles,
            BonusCaps(self.ports.documents(), self.ports.domain_lists(), self.clock, keys, uncapped),
            keys,
            is_verification_needed="verified" in settings.welcome_bonus_requires,
        )

    @part
    def api_keys(self) -> "ApiKeys":
        """Build the store of API keys."""
        from shared.users.api_keys import ApiKeys

        return ApiKeys(self.ports.documents(), self.clock)

    @part
    def key_lookup(self) -> "KeyLookup":
        """Build the verifier of API keys."""
        from shared.users.key_lookup import KeyLookup

        return KeyLookup(self.api_keys, self.clock)

    @part
    def end_users(self) -> "EndUsers":
        """Build the pseudonyms of users for model providers."""
        from shared.users.end_users import EndUsers

        secrets = [secret.encode() for secret in self.settings.marks_secrets]
        return EndUsers([*secrets, *(key.seed for key in self.settings.ledger_signing_keys)][0])

    @part
    def logins(self) -> "Logins":
        """Build the cache of users' logins at the identity provider."""
        from shared.users.logins import Logins

        return Logins(self.ports.identity(), self.clock)

    @part
    def authority(self) -> "Authority":
        """Build the check that work behind a request still has authority."""
        from shared.sagas.metering.authority import StandingAuthority

        return StandingAuthority(self.logins, self.api_keys, self.clock)

    @part
    def key_budgets(self) -> "KeyBudgets":
        """Build the spend caps of API keys, as budgets of the owner's account."""
        from shared.sagas.metering.key_budgets import KeyBudgets

        return KeyBudgets(self.credits.ledger, self.clock)

    @part
    def audit(self) -> "AuditTrail":
        """Build the audit trail of operators' acts."""
        from shared.users.audit import AuditTrail

        return AuditTrail(self.ports.documents(), self.clock)

    @part
    def looks(self) -> "Looks":
        """Build the records of operators' looks at users."""
        from shared.users.looks import Looks

        return Looks(self.ports.documents(), self.clock)
