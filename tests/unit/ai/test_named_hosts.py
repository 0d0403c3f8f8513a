"""Which hosts a text names: exactly those that a person would say it names, in one usual form."""

import pytest

from shared.ai.agents.named_hosts import named_hosts


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("Read https://example.com/a and tell me.", {"example.com"}),
        ("Read HTTPS://EXAMPLE.COM/A", {"example.com"}),
        ("See https://example.com.", {"example.com"}),
        ("See https://example.com./page", {"example.com"}),
        ("(https://example.com), then http://www.example.org!", {"example.com", "www.example.org"}),
        ("https://example.com:443/a", {"example.com"}),
        ("https://a.example,https://b.example", {"a.example", "b.example"}),
        ("[page](https://example.com/a_(b))", {"example.com"}),
        ("https://example.com?q=1 https://example.org#top", {"example.com", "example.org"}),
        ("https://bücher.example/", {"xn--bcher-kva.example"}),
        ("https://xn--bcher-kva.example/", {"xn--bcher-kva.example"}),
        ("请看https://example.com，然后", {"example.com"}),
        ("http://93.184.216.34/", {"93.184.216.34"}),
        ("http://[2606:2800:220:1::1]/a", {"2606:2800:220:1::1"}),
        ("Compare example.com with www.example.org/page.", {"example.com", "www.example.org"}),
        ("EXAMPLE.COM: what is new?", {"example.com"}),
        ("bücher.example", {"xn--bcher-kva.example"}),
    ],
)
def test_hosts_are_named_as_addresses_and_bare(text, hosts):
    assert named_hosts(text) == hosts


@pytest.mark.parametrize(
    "text",
    [
        "How many people?",
        "Write to ann.lee@example.com.",
        "https://good.example@evil.example/",
        "https://user:secret@example.com/",
        "Summarise report.md and run main.py, see a.zip.",
        "It is done.Then go on. Version 3.12 is out, e.g. now, i.e. today.",
        "ftp://example.com/ file:///etc/passwd",
        "http://localhost/ http://127.0.0.1/ http://169.254.169.254/ http://metadata.google.internal/",
        "http://0x7f.1/ http://2130706433/",
        "https://example/ https:/// https://",
        "docs/example.com and x=example.com",
        "https://[::1]/ https://[not an address]/",
    ],
)
def test_nothing_is_named_by_what_only_looks_like_a_host(text):
    assert named_hosts(text) == frozenset()


def test_a_url_within_a_url_names_the_outer_host_only():
    assert named_hosts("https://example.com/?next=https://evil.example/") == {"example.com"}


def test_a_file_of_the_task_names_no_host():
    assert named_hosts("Summarise notes.info for Ann", files=["Notes.info"]) == frozenset()
    assert named_hosts("Read https://notes.info/", files=["notes.info"]) == {"notes.info"}


def test_a_lookalike_is_another_host():
    assert "example.com" not in named_hosts("https://ex\u0430mple.com/")
