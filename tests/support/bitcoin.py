"""The Bitcoin node of the tests. Without `bitcoind` on this machine its tests are skipped, counted and named."""

from collections.abc import Iterator

import pytest

from emulator.chains.bitcoin_node import NO_NODE, BitcoinNode, bitcoind
from tests.support.browsers import reason


@pytest.fixture(scope="session")
def bitcoin_node() -> Iterator[BitcoinNode]:
    """A node on a regtest network of its own. Skip the test if this machine has none."""
    if bitcoind() is None:
        pytest.skip(NO_NODE)
    with BitcoinNode() as node:
        yield node


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count and name the tests that were skipped because there is no node."""
    skipped = [report for report in terminalreporter.stats.get("skipped", []) if NO_NODE in reason(report)]
    if skipped:
        terminalreporter.section(f"{len(skipped)} tests skipped. {NO_NODE}")
        for report in skipped:
            terminalreporter.write_line(report.nodeid)
