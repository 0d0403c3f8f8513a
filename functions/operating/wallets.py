"""Command on wallets: the first addresses of each key, and how far a wallet must look."""

import argparse

from shared.bootstrap import Services
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
