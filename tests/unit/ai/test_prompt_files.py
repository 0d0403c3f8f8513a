"""How many pages a PDF may have, as far as its bytes say."""

import pytest

from shared.ai.openai.prompt_files import PAGES_MAX, PromptFile, pages_of

PAGES = b"<</Type /Pages /Kids [3 0 R 4 0 R]>> <</Type /Page>> <</Type/Page /Parent 2 0 R>>"


@pytest.mark.parametrize(
    ("content", "pages", "at_most"),
    [
        (b"%PDF-1.4", 1, 1),
        (b"%PDF-1.4" + PAGES, 2, 3),
        (b"%PDF-1.5 /ObjStm", 1, PAGES_MAX),
        (b"%PDF-1.5 /ObjStm" + PAGES, 2, PAGES_MAX),
        (b"%PDF-1.4 /Kids [" + b"3 0 R " * 5_000 + b"]", 1, PAGES_MAX),
        (b"%PDF-1.4" + b"<</Type /Page>>" * 500, PAGES_MAX, PAGES_MAX),
    ],
)
def test_pages_are_counted_and_bounded_by_references(content, pages, at_most):
    assert pages_of(content) == PromptFile(pages=pages, pages_at_most=at_most)
