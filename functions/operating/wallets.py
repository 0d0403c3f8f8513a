"""Commands on wallets: each key's first addresses, the coins that lie at addresses, and tokens that nobody listed."""

import argparse
from collections import Counter
from collections.abc import Iterable

from shared.bootstrap import Services
from shared.payments.chains.amounts import decimal_text
from shared.payments.chains.balances import LyingCoins
from shared.payments.chains.ports import ChainUnavailable
from shared.payments.chains.wallet_keys import SETTINGS
from shared.payments.chains.wallet_previews import WalletPreview


def addresses(asked: argparse.Namespace, services: Services) -> None:
    """Print the first addresses of each key, the highest step taken, and the gap limit that the wallet needs."""
    del asked
    for family, setting in SETTINGS.items():
        found = services.crypto.wallet_previews.previews(family)
        if not found:
            print(f"{setting} is not set.")
        for preview in found:
            _print_preview(setting, preview)
    print(
        "Compare these addresses with the first receiving addresses that the wallet shows. If one differs, stop: coins"
    )
    print("would go where this wallet does not see them. Two implementations derived each address alike.")


def _print_preview(setting: str, preview: WalletPreview) -> None:
    use = "new addresses come from this key" if preview.is_in_use else "an old key, only watched"
    print(f"{setting}: {use}")
    for step, address in enumerate(preview.addresses):
        print(f"  0/{step}  {address}")
    if not preview.taken:
        print("  No address was taken yet.")
        return
    print(
        f"  The highest address taken is 0/{preview.taken - 1}. Set the wallet's gap limit to {preview.taken} or more."
    )
    print("  Else the wallet may not show all coins: each payment takes an address, paid or not.")


def balances(asked: argparse.Namespace, services: Services) -> None:
    """Print the coins at each address, and their sums, for a sweep with the operator's own wallet."""
    for name, network in services.crypto.networks.items():
        if asked.network not in {None, name}:
            continue
        try:
            _print_coins(services.crypto.balances.of_network(name))
        except ChainUnavailable as error:
            print(f"{network.title}: {error.detail} ({error.code})")
    print("Sweep with your own wallet, by the path of each address. Never export the private key of a single address:")
    print("with the public key of the account, which this server has, it gives away all keys of the wallet.")


def find_token(asked: argparse.Namespace, services: Services) -> None:
    """Print the addresses that hold units of a token which nobody listed. The wallet's key recovers them."""
    _print_coins(services.crypto.balances.of_token(asked.network, asked.contract))


def _print_coins(found: Iterable[LyingCoins]) -> None:
    sums: Counter[tuple[str, str, int]] = Counter()
    for each in found:
        path = "0/?" if each.step is None else f"0/{each.step}"
        note = " (coins were sent away before)" if each.is_swept else ""
        print(f"{each.network.title}  {path}  {each.record.address}  {_amount(each)}  {each.record.payment}{note}")
        sums[(each.network.title, each.asset, each.decimals)] += each.amount
    for (title, asset, decimals), amount in sorted(sums.items()):
        print(f"{title}: {decimal_text(amount, decimals)} {asset} in all")
    if not sums:
        print("Nothing was found.")


def _amount(each: LyingCoins) -> str:
    """Return the amount as text. A chain that scans blocks tells the sum that ever came, and not what is left."""
    ever = " came in all" if each.network.family == "bitcoin" else ""
    return f"{decimal_text(each.amount, each.decimals)} {each.asset}{ever}"
