"""LangChain's standard suite for chat models, over langchain-openai. A test module for pytest, told by `TOLD`.

The suite downloads its picture and its document from the web; both come from here instead. It wants a model with some
sense, so the stand-in provider is scripted (`tests/clients/table.py`) for the questions that name their answer.
"""

import json
import os
import struct
import zlib
from typing import Any

import httpx
import pytest
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests

TOLD = json.loads(os.environ["TOLD"])


def png() -> bytes:
    """A white picture of 8 × 8."""
    rows = zlib.compress(b"".join(b"\0" + b"\xff" * 24 for _ in range(8)))
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b""))
    made = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(made)


PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 72 72]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
)


@pytest.fixture(autouse=True)
def without_web(monkeypatch: pytest.MonkeyPatch) -> None:
    def served(url: str, **_: Any) -> httpx.Response:
        return httpx.Response(200, content=PDF if url.endswith(".pdf") else png())

    monkeypatch.setattr(httpx, "get", served)


class TestStandard(ChatModelIntegrationTests):  # type: ignore[misc]
    """What the model behind the API can, beside the suite's defaults."""

    @property
    def chat_model_class(self) -> Any:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> Any:
        ours = {"base_url": TOLD["base_url"], "api_key": TOLD["api_key"], "max_retries": 0}
        return {"model": TOLD["model"], "use_responses_api": TOLD["api"] == "responses", "stream_usage": True, **ours}

    supports_image_inputs = True
    supports_image_urls = True
    supports_image_tool_message = True
    supports_pdf_inputs = True
    supports_pdf_tool_message = True
    supports_anthropic_inputs = True
    supports_json_mode = True
    supports_model_override = True
    model_override_value = "gpt-4o"
