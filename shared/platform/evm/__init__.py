"""EVM networks over JSON-RPC, by `web3`."""
