"""Cost of a package's credits to the platform, compared with the package's price. Pure."""

from dataclasses import dataclass
from fractions import Fraction

from shared.kernel.money import MICRO_PER_CREDIT
from shared.payments.fiat import minor_digits
from shared.payments.packages import Package

DOLLARS = "USD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """Factors between model prices and credits: `credits_per_usd` for a dollar, and `markup_percent` on top."""

    credits_per_usd: int
    markup_percent: int

    def cost_usd(self, package: Package) -> Fraction:
        """Return the USD that model providers charge if all credits of a package, bonus included, are spent."""
        credits_ = Fraction(package.credits + package.bonus, MICRO_PER_CREDIT)
        return credits_ / self.credits_per_usd * 100 / (100 + self.markup_percent)

    def cost_text(self, package: Package) -> str:
        """Return the cost as a decimal of dollars, rounded up to cents."""
        cents = -(-(self.cost_usd(package) * 100) // 1)
        return f"{cents // 100}.{cents % 100:02d}"

    def warning(self, package: Package) -> str | None:
        """Return a warning if a price in dollars is below cost, else None.

        Prices in other currencies give None, since their exchange rate is not known here.
        """
        price = package.price
        if price.currency != DOLLARS or Fraction(price.minor, 10 ** minor_digits(DOLLARS)) >= self.cost_usd(package):
            return None
        return (
            f"Priced below cost: {price.decimal} USD buys credits for which providers charge up to "
            f"{self.cost_text(package)} USD."
        )
