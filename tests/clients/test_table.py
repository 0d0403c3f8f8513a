"""The page of clients shows the table in code, and the clients that cost little do as it says."""

import pytest

from tests.clients.cases import CASES
from tests.clients.page import rendered, written_table
from tests.clients.playing import play
from tests.clients.table import CLIENTS, Client


def test_page_of_clients_shows_the_table_in_code():
    assert written_table() == rendered()


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_client_is_described_by_cases_that_exist(client: Client):
    assert {*client.lacks, *client.fails} <= {*CASES, *client.beside}
    assert not client.lacks.keys() & client.fails.keys()


@pytest.mark.slow
@pytest.mark.parametrize("client", [each for each in CLIENTS if each.is_short], ids=lambda client: client.name)
def test_client_runs_as_the_table_says(client: Client, counter, client_upstream):
    assert play(client, counter, client_upstream).surprises == []
