"""Names of the accounts in plain-text accounting, which hledger and beancount both read.

A user's credits are a liability, a user's debt is a claim, received money is an asset, and used or expired credits are
income. Each account ends with the user, so that the entries of one user balance by themselves, in any order of users.
"""

from shared.ledger.entries import AVAILABLE, BREAKAGE, DEBT, HELD

ROOTS = (("world:", "Assets"), ("revenue:", "Income"))
OWN_NAMES = {
    AVAILABLE: "Liabilities:Users:Available",
    HELD: "Liabilities:Users:Held",
    DEBT: "Assets:Users:Debt",
}
ESCAPE = "-"


def account_name(name: str, uid: str) -> str:
    """Return the account for a posting's source or destination in the entries of user `uid`.

    Different pairs of names have different accounts, for all characters that a uid may have.
    """
    user = f"User{ESCAPE}{escaped(uid)}"
    if name in OWN_NAMES:
        return f"{OWN_NAMES[name]}:{user}"
    root = next((root for start, root in ROOTS if name.startswith(start)), None)
    if root is None:
        root = "Income" if name == BREAKAGE else "Expenses"
    return ":".join([root, *(_part(part) for part in name.split(":")), user])


def escaped(text: str) -> str:
    """Return `text` as letters, digits and hyphens: each other byte is a hyphen and two hexadecimal digits."""
    return "".join(
        chr(byte) if chr(byte).isascii() and chr(byte).isalnum() else f"{ESCAPE}{byte:02X}"
        for byte in text.encode("utf-8", "surrogatepass")
    )


def _part(text: str) -> str:
    """Return a part of an account's name, which has to begin with a capital letter."""
    if text[:1].isascii() and text[:1].islower():
        return text[0].upper() + escaped(text[1:])
    return f"Other{ESCAPE}{ESCAPE}{escaped(text)}"
