"""What the credits of a package cost the platform, beside what the package sells for. Pure."""

from dataclasses import dataclass
from fractions import Fraction

from shared.kernel.money import MICRO_PER_CREDIT
from shared.payments.fiat import minor_digits
from shared.payments.packages import Package

DOLLARS = "USD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """The price of a credit: `credits_per_usd` for a dollar of a provider's price, and `markup_percent` on top."""

    credits_per_usd: int
    markup_percent: int

    def cost_usd(self, package: Package) -> Fraction:
        """Return what providers charge (USD) if all credits of a package are spent, its bonus included."""
        credits_ = Fraction(package.credits + package.bonus, MICRO_PER_CREDIT)
        return credits_ / self.credits_per_usd * 100 / (100 + self.markup_percent)

    def cost_text(self, package: Package) -> str:
        """Return the cost as a decimal of dollars, rounded up to cents."""
        cents = -(-(self.cost_usd(package) * 100) // 1)
        return f"{cents // 100}.{cents % 100:02d}"

    def warning(self, package: Package) -> str | None:
        """Return what is wrong with a price in dollars that is below cost; None for other prices.

        What another currency is worth is not known here.
        """
        price = package.price
        if price.currency != DOLLARS or Fraction(price.minor, 10 ** minor_digits(DOLLARS)) >= self.cost_usd(package):
            return None
        return (
            f"Priced below cost: {price.decimal} USD buys credits for which providers charge up to "
            f"{self.cost_text(package)} USD."
        )
