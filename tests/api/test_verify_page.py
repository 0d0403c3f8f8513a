"""The page that checks receipts: one file that may run its own scripts, and may connect to nothing."""

import hashlib
import re
from base64 import b64encode


def source(text: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_the_page_may_run_exactly_its_own_scripts_and_connect_nowhere(world):
    answer = world.call("GET", "/docs/verify")

    policy = answer.headers["Content-Security-Policy"]
    directives = dict(part.split(" ", 1) for part in policy.split("; "))
    assert answer.status_code == 200
    assert directives["script-src"].split() == [
        source(text) for text in re.findall(r"(?s)<script>(.*?)</script>", answer.text)
    ]
    assert directives["style-src"].split() == [
        source(text) for text in re.findall(r"(?s)<style>(.*?)</style>", answer.text)
    ]
    assert (directives["default-src"], directives["connect-src"], directives["frame-ancestors"]) == ("'none'",) * 3


def test_a_saved_page_carries_its_policy_and_names_no_other_file(world):
    answer = world.call("GET", "/docs/verify")

    policy = answer.headers["Content-Security-Policy"].removesuffix("; frame-ancestors 'none'")
    assert f'<meta http-equiv="Content-Security-Policy" content="{policy}">' in answer.text
    assert re.findall(r"""(?:src|href)=["']?(?!data:,|")([^"'> ]+)""", answer.text) == []
    assert not re.search(r"https?://|\bfetch\(|XMLHttpRequest|import\(", answer.text)


def test_the_page_is_kept_by_caches_and_sent_once(world):
    first = world.call("GET", "/docs/verify")
    again = world.call("GET", "/docs/verify", headers={"If-None-Match": first.headers["ETag"]})

    assert (first.headers["Cache-Control"], first.headers["Content-Type"]) == (
        "public, max-age=300",
        "text/html; charset=utf-8",
    )
    assert (again.status_code, again.text) == (304, "")
