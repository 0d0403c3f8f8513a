"""The log as strangers read it: checkpoint, tiles and consistency proofs, cacheable, and cheap whoever asks."""

from base64 import b64decode

import pytest

from functions.http.app import create_app
from shared.bootstrap import in_memory
from shared.kernel.clock import SECOND
from shared.ledger.log.checkpoints import parse_checkpoint
from shared.ledger.log.merkle import is_consistent, leaf_hash, root_of
from shared.ledger.log.notes import parse_note
from shared.platform.memory.documents import MemoryDocuments
from tests.api.world import World, problem
from tests.support.log_trees import SIGNER
from tests.support.logged_accounts import append_leaves, sign_head

HASHES = [leaf_hash(b"leaf %d" % number) for number in range(900)]
SIGNED = 700


def logged_world() -> World:
    world = World()
    documents = world.services.ports.documents()
    append_leaves(documents, HASHES[:SIGNED])
    sign_head(documents)
    append_leaves(documents, HASHES[SIGNED:])
    return world


@pytest.fixture(scope="module")
def log() -> World:
    """A world that is only read."""
    return logged_world()


def test_the_checkpoint_is_public_signed_and_kept_for_seconds(log):
    answer = log.call("GET", "/ledger/checkpoint")

    note = parse_note(answer.data)
    assert list(note.signatures_by([SIGNER.vkey])) == [SIGNER.vkey]
    assert parse_checkpoint(note.text).size == SIGNED
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Cache-Control"] == "public, max-age=5"


def test_each_tile_of_the_checkpoint_is_served_whole_and_in_parts(log):
    full, partial, above = (log.call("GET", f"/ledger/tile/{name}") for name in ("0/001", "0/002.p/188", "1/000.p/2"))

    assert full.data == b"".join(HASHES[256:512])
    assert partial.data == b"".join(HASHES[512:700])
    assert above.data == root_of(HASHES[:256]) + root_of(HASHES[256:512])
    assert log.call("GET", "/ledger/tile/0/001.p/3").data == b"".join(HASHES[256:259])
    for answer in (full, partial, above):
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize(
    "name", ["0/002", "0/002.p/189", "0/003", "1/000", "1/000.p/3", "2/000.p/1", "63/000", "0/x001/000"]
)
def test_no_tile_beyond_the_checkpoint_is_served(log, name):
    assert problem(log.call("GET", f"/ledger/tile/{name}")) == (404, "tile_not_found")


@pytest.mark.parametrize(
    "name", ["0/1", "64/000", "0/x001", "0/001/", "0/000.p/0", "0/000.p/256", "0/" + "x" * 200, "0/%00", "a/000"]
)
def test_an_address_in_another_form_names_nothing(log, name):
    assert problem(log.call("GET", f"/ledger/tile/{name}")) == (404, "not_found")


def test_entry_bundles_are_not_public(log):
    answer = log.call("GET", "/ledger/tile/entries/000")

    assert problem(answer) == (404, "bundles_not_public")
    assert "not public" in answer.json["detail"]


@pytest.mark.parametrize(("old", "new"), [(1, 700), (255, 256), (256, 512), (699, 700), (700, 700), (3, 3)])
def test_two_sizes_are_proved_to_be_of_one_log(log, old, new):
    answer = log.call("GET", f"/ledger/consistency?from={old}&to={new}")

    told = answer.json
    proof = [b64decode(each) for each in told["proof"]]
    assert (told["from"], told["to"]) == (old, new)
    assert (b64decode(told["from_root"]), b64decode(told["to_root"])) == (root_of(HASHES[:old]), root_of(HASHES[:new]))
    assert is_consistent(old, root_of(HASHES[:old]), new, root_of(HASHES[:new]), proof)
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"


def test_consistency_leads_to_the_checkpoint_if_nothing_else_is_named(log):
    answer = log.call("GET", "/ledger/consistency?from=300")

    assert (answer.json["to"], answer.headers["Cache-Control"]) == (SIGNED, "public, max-age=5")


@pytest.mark.parametrize(
    "query", ["", "from=0", "from=x", "from=1&to=701", "from=2&to=1", "from=701", "from=1&to=0", "from=-1", "from=1.0"]
)
def test_sizes_that_the_log_does_not_have_are_refused(log, query):
    assert problem(log.call("GET", f"/ledger/consistency?{query}"))[0] == 422


def test_an_empty_log_has_nothing_to_show(world):
    assert problem(world.call("GET", "/ledger/checkpoint")) == (404, "checkpoint_not_found")
    assert problem(world.call("GET", "/ledger/consistency?from=1")) == (404, "checkpoint_not_found")
    assert problem(world.call("GET", "/ledger/tile/0/000")) == (404, "tile_not_found")


def test_a_cache_that_has_the_bytes_gets_none_again(log):
    for path in ("/ledger/checkpoint", "/ledger/tile/0/001", "/ledger/consistency?from=300&to=400"):
        first = log.call("GET", path)
        again = log.call("GET", path, headers={"If-None-Match": first.headers["ETag"]})

        assert (again.status_code, again.data) == (304, b"")


def test_a_newer_checkpoint_is_shown_after_seconds_and_at_once_to_who_knows_it():
    log = logged_world()
    documents = log.services.ports.documents()
    log.call("GET", "/ledger/checkpoint")
    sign_head(documents)

    early = log.call("GET", "/ledger/checkpoint")
    log.clock.advance(1 * SECOND)
    known = log.call("GET", "/ledger/tile/0/002")

    assert parse_checkpoint(parse_note(early.data).text).size == SIGNED
    assert known.status_code == 200
    assert parse_checkpoint(parse_note(log.call("GET", "/ledger/checkpoint").data).text).size == 900


def test_strangers_cost_one_read_of_the_checkpoint_in_seconds():
    read: list[str] = []

    class Counted(MemoryDocuments):
        def get(self, path):
            read.append(path)
            return super().get(path)

        def get_all(self, paths):
            read.extend(paths)
            return super().get_all(paths)

    documents = Counted()
    append_leaves(documents, HASHES)
    sign_head(documents)

    client = create_app(in_memory({}, documents=documents)).test_client()
    read.clear()
    for _ in range(50):
        client.get("/v1/ledger/checkpoint")
        client.get("/v1/ledger/tile/0/003.p/132")
    few = len(read)
    client.get("/v1/ledger/consistency?from=300&to=800")

    assert few == 1
    assert len(read) - few <= 8


def test_a_stranger_who_asks_for_many_proofs_waits():
    world = World()
    append_leaves(world.services.ports.documents(), HASHES)
    sign_head(world.services.ports.documents())

    statuses = [world.call("GET", f"/ledger/consistency?from={1 + number}").status_code for number in range(301)]

    assert (set(statuses[:299]), statuses[-1]) == ({200}, 429)
