"""Text of a page: the visible text of HTML, and other text unchanged."""

import re

from shared.ai.agents.web import FetchFailed

TITLE_CHARACTERS_MAX = 200
HTML = {"text/html", "application/xhtml+xml"}
TEXT = {"application/json", "application/xml", "application/ld+json", "application/yaml", "application/rss+xml"}
INVISIBLE = frozenset(
    {
        "canvas", "embed", "head", "iframe", "math", "noscript", "object", "script", "select", "style", "svg",
        "template", "textarea", "title",
    }
)  # fmt: skip
SPACE = re.compile(r"\s+")
BLOCKS = frozenset(
    {
        "address", "article", "aside", "blockquote", "br", "caption", "dd", "details", "div", "dl", "dt", "figcaption",
        "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p",
        "pre", "section", "summary", "table", "td", "th", "tr", "ul",
    }
)  # fmt: skip
CHARSET = re.compile(r"charset\s*=\s*[\"']?([A-Za-z0-9_.:-]{1,40})", re.ASCII | re.IGNORECASE)
CHARSETS = re.compile(
    r"utf-?8|us-ascii|ascii|latin-?1|iso-8859-\d{1,2}|windows-125\d|cp125\d|koi8-[ru]|utf-16(le|be)?"
    r"|gb18030|gbk|gb2312|big5|shift_jis|euc-(jp|kr)",
    re.ASCII | re.IGNORECASE,
)
"""Character sets of real pages. Python knows further codecs by name, some of which take quadratic time."""


def media_type(header: str) -> str:
    """Return the media type. Raises FetchFailed if content of this type has no text."""
    name = header.partition(";")[0].strip().lower()
    is_text = name.startswith("text/") or name in HTML | TEXT or name.endswith(("+json", "+xml"))
    if not is_text:
        raise FetchFailed("not_text", "The page holds no text that can be read.")
    return name


def text_of(body: bytes, header: str) -> tuple[str, str]:
    """Return the title and the text; the title is "" if the page has none. Raises FetchFailed."""
    name = media_type(header)
    decoded = body.decode(_charset(header), "replace").replace("\0", "\ufffd")
    return _of_html(decoded) if name in HTML else ("", decoded)


def _charset(header: str) -> str:
    found = CHARSET.search(header)
    named = found.group(1) if found else ""
    return named if CHARSETS.fullmatch(named) else "utf-8"


def _of_html(source: str) -> tuple[str, str]:
    """Read the page as a stream of tags.

    A page's author could make a tree of tags take quadratic time and memory.
    """
    from lxml import etree

    reader = _Reader()
    parser = etree.HTMLParser(target=reader, encoding="utf-8", no_network=True)
    try:
        parser.feed(source.encode("utf-8", "replace"))
        parser.close()
    except (etree.LxmlError, AssertionError):
        # What could be read until then will do: broken pages are the rule.
        pass
    lines = (" ".join(line.split()) for line in "".join(reader.pieces).split("\n"))
    title = " ".join("".join(reader.title).split())[:TITLE_CHARACTERS_MAX]
    return title, "\n".join(line for line in lines if line)


class _Reader:
    """Parser target for lxml that keeps the title and the visible text, one line per block."""

    def __init__(self) -> None:
        self.title: list[str] = []
        self.pieces: list[str] = []
        self._hidden = 0
        self._is_title = False

    def start(self, tag: str, attributes: object) -> None:
        """Open a tag."""
        del attributes
        if tag in INVISIBLE:
            self._hidden += 1
            self._is_title = tag == "title" and not self.title
        elif tag in BLOCKS:
            self.pieces.append("\n")

    def end(self, tag: str) -> None:
        """Close a tag, or end a tag that was never closed."""
        if tag in INVISIBLE:
            self._hidden -= 1
            self._is_title = False
        elif tag in BLOCKS:
            self.pieces.append("\n")

    def data(self, text: str) -> None:
        """Add text. White space only separates words; lines come from blocks."""
        if self._is_title:
            self.title.append(text)
        elif not self._hidden:
            self.pieces.append(SPACE.sub(" ", text))

    def close(self) -> None:
        """End the page; nothing is left to do."""
