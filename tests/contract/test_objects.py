"""Objects in memory and on Cloud Storage's emulator keep the same rules."""

import hashlib
import socket
import subprocess
import sys
import threading

import pytest

from emulator.storage import StorageEmulator
from shared.kernel.ids import new_id
from shared.kernel.objects import ObjectInfo, ObjectNotFound, StorageUnavailable
from shared.platform.memory.objects import MemoryObjects
from shared.platform.storage.objects import CloudObjects

CONTENT = bytes(range(256)) * 8


@pytest.fixture(scope="module")
def emulator():
    with StorageEmulator() as emulator:
        yield emulator


@pytest.fixture(params=["memory", "cloud"])
def objects(request, monkeypatch):
    if request.param == "memory":
        yield MemoryObjects()
        return
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", request.getfixturevalue("emulator").url)
    cloud = CloudObjects("demo-objects", new_id("bucket").replace("_", "-"))
    yield cloud
    cloud.close()


def test_what_was_put_is_found_and_read(objects):
    assert objects.put("images/ann/i1", CONTENT, "image/png") is True

    assert objects.find("images/ann/i1") == ObjectInfo(
        name="images/ann/i1",
        size=len(CONTENT),
        content_type="image/png",
        sha256=hashlib.sha256(CONTENT).hexdigest(),
    )
    assert objects.read("images/ann/i1") == CONTENT


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (0, 0, CONTENT[:1]),
        (0, 9, CONTENT[:10]),
        (10, 19, CONTENT[10:20]),
        (2_000, None, CONTENT[2_000:]),
        (2_047, 2_047, CONTENT[-1:]),
    ],
)
def test_a_part_is_read_with_both_ends(objects, first, last, expected):
    objects.put("images/ann/i1", CONTENT, "image/png")

    assert objects.read("images/ann/i1", first, last) == expected


def test_bytes_come_back_as_they_were_whatever_they_are(objects):
    for number, content in enumerate([b"", b"\r\n--boundary\r\n", b"\x1f\x8b\x08 no gzip", b"\0" * 70_000]):
        objects.put(f"images/ann/{number}", content, "image/webp")

        assert objects.read(f"images/ann/{number}") == content


def test_what_is_there_is_never_written_over(objects):
    objects.put("images/ann/i1", b"first", "image/png")

    assert objects.put("images/ann/i1", b"second", "image/jpeg") is False

    assert objects.read("images/ann/i1") == b"first"
    assert objects.find("images/ann/i1").content_type == "image/png"


def test_of_many_who_put_at_once_one_wins(objects):
    contents = [f"by {number}".encode() for number in range(8)]
    results = {}

    def put(content: bytes) -> None:
        results[content] = objects.put("images/ann/i1", content, "image/png")

    threads = [threading.Thread(target=put, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    winners = [content for content, is_written in results.items() if is_written]
    assert len(winners) == 1
    assert objects.read("images/ann/i1") == winners[0]


def test_what_is_not_there_is_none_or_not_found(objects):
    assert objects.find("images/ann/none") is None
    with pytest.raises(ObjectNotFound):
        objects.read("images/ann/none")


def test_a_deleted_object_is_gone_and_deleting_again_is_fine(objects):
    objects.put("images/ann/i1", CONTENT, "image/png")

    objects.delete("images/ann/i1")
    objects.delete("images/ann/i1")

    assert objects.find("images/ann/i1") is None
    assert objects.put("images/ann/i1", b"again", "image/png") is True


def test_names_are_those_below_a_prefix_in_order(objects):
    assert objects.names("images/ann/") == []
    for name in ("images/ann/2", "images/ann/1", "images/bob/1", "images/annette/1"):
        objects.put(name, b"x", "image/png")

    assert objects.names("images/ann/") == ["images/ann/1", "images/ann/2"]
    assert objects.names("images/ann/", limit=1) == ["images/ann/1"]
    assert objects.names("images/carl/") == []


def test_a_storage_that_is_away_is_unavailable(monkeypatch):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        away = CloudObjects("demo-objects", "images", retry_seconds=0.01)

        for call in (
            lambda: away.put("a", b"x", "image/png"),
            lambda: away.find("a"),
            lambda: away.read("a"),
            lambda: away.delete("a"),
            lambda: away.names("a"),
        ):
            with pytest.raises(StorageUnavailable):
                call()


def test_the_sdk_is_imported_with_the_adapter_only():
    code = (
        "import sys; import shared.bootstrap, shared.kernel.objects;"
        "print([name for name in ('google.cloud.storage', 'requests') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
