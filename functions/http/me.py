"""`/v1/me`: the caller's own profile, and how they leave."""

from dataclasses import dataclass, replace
from typing import Any

from marshmallow import fields

from functions.http.fields import Answer, Choice, Credits, Time
from functions.http.routes import LEAVING, Call, Routes
from shared.kernel.money import Micro
from shared.ledger.views import Balance
from shared.users.principal import Principal
from shared.users.profiles import Profile

routes = Routes("me")


class AccountOut(Answer):
    """The account in short; `/v1/credits/balance` says more."""

    status = Choice("open", "frozen", "closed", required=True)
    available = Credits(required=True)
    held = Credits(required=True)
    debt = Credits(required=True)


class WelcomeOut(Answer):
    """Welcome bonus: the credits that this user may claim or has claimed, and the time of the claim.

    Guests get no offer. They may claim once they have added an e-mail address.
    """

    offer = Credits(required=True, allow_none=True, attribute="welcome_offer")
    claimed_at = Time(required=True, allow_none=True, attribute="welcome_claimed_at")


class MeOut(Answer):
    """The caller."""

    uid = fields.String(required=True, attribute="principal.uid")
    email = fields.String(required=True, allow_none=True, attribute="principal.email")
    email_verified = fields.Boolean(required=True, attribute="principal.is_email_verified")
    display_name = fields.String(required=True, allow_none=True, attribute="profile.display_name")
    is_anonymous = fields.Boolean(required=True, attribute="principal.is_anonymous")
    roles = fields.List(fields.String(), required=True)
    status = Choice("active", "closed", required=True, attribute="profile.status")
    created_at = Time(required=True, allow_none=True, attribute="profile.created_at")
    welcome_bonus = fields.Nested(WelcomeOut, required=True, attribute="profile")
    account = fields.Nested(AccountOut, required=True, attribute="balance")


@dataclass(frozen=True, slots=True, kw_only=True)
class Me:
    """Profile, roles and account of the caller."""

    principal: Principal
    profile: Profile
    balance: Balance

    @property
    def roles(self) -> list[str]:
        """The operator roles in the caller's token."""
        return sorted(self.principal.roles)


@routes.get("/me", answer=MeOut)
def profile(call: Call) -> Any:
    """Show the caller's profile, roles and account."""
    known = call.services.users.profiles.get(call.uid) or call.services.users.first_sight.see(call.principal)
    offered = replace(known, welcome_offer=_offer(call, known))
    return Me(principal=call.principal, profile=offered, balance=call.services.credits.ledger.balance(call.uid))


def _offer(call: Call, known: Profile) -> Micro | None:
    """Return the amount of the bonus for this user; after a claim, the claimed amount; None for a guest."""
    if known.welcome_claimed_at is not None and known.welcome_offer is not None:
        return known.welcome_offer
    return None if call.principal.is_anonymous else call.services.settings.welcome_bonus_amount


@routes.delete("/me", access=LEAVING)
def leave(call: Call) -> None:
    """Leave for good.

    The account closes, and the credits left in the account are forfeited. Personal data and the login are deleted.
    The journal is kept, and no longer names anybody.
    """
    call.services.leaving.leave(call.uid)
