"""EVM networks over JSON-RPC, by `web3`."""

from shared.kernel.recursion import kept_recursion_limit

with kept_recursion_limit():
    import web3  # noqa: F401  # loads py_ecc, which raises the limit for the whole process
