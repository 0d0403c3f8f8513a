"""Stand-in Stripe: `with StripeStandIn() as stripe:`, then `stripe.url` as the SDK's base address."""

from emulator.stand_ins.stripe.provider import StripeStandIn

__all__ = ["STAND_IN", "StripeStandIn"]

STAND_IN = StripeStandIn
