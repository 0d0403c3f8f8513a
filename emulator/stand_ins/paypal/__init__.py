"""Stand-in PayPal: `with PayPalStandIn() as paypal:`, then `paypal.url` instead of api-m.paypal.com."""

from emulator.stand_ins.paypal.provider import PayPalStandIn

__all__ = ["STAND_IN", "PayPalStandIn"]

STAND_IN = PayPalStandIn
