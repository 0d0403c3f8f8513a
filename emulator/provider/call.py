"""Call of the stand-in provider: the generated answer, the part that was sent, and the bill."""

import re
from dataclasses import dataclass
from typing import Any

from emulator.provider.journal import Bill, Seen, State
from emulator.provider.tokens import chat_tokens
from emulator.provider.vision import image_tokens
from emulator.provider.wire import Wire

Json = dict[str, Any]

REASONING_MODEL = re.compile(r"o\d|gpt-5(?!-chat)")
REASONING_TOKENS = {"none": 0, "minimal": 16, "low": 64, "medium": 128, "high": 512}
"""Hidden tokens by `reasoning_effort`; a script's `reasoning_tokens` wins."""
REPLY = (
    "Hello from your laptop! I am a stand-in model: I answer every question with these same few sentences, "
    "one word at a time, so that you can watch a stream arrive and see what it costs."
)


@dataclass(slots=True, kw_only=True)
class Call:
    """Request with its script and its place in the journal, on one connection."""

    wire: Wire
    state: State
    seen: Seen
    body: Json
    script: Json

    @property
    def chunk_tokens(self) -> int:
        """Return the number of output tokens of each chunk."""
        return int(self.script.get("chunk_tokens", 1))

    @property
    def ends_on_abort(self) -> bool:
        """Return True if the bill ends when the client closes a stream."""
        return bool(self.script.get("ends", self.state.ends)) and bool(self.body.get("stream"))

    def reasoning_tokens(self, limit: int | None) -> int:
        """Return the number of hidden tokens that come before the visible ones, at most `limit`. None: no limit."""
        effort = self.body.get("reasoning_effort") or (self.body.get("reasoning") or {}).get("effort") or "medium"
        is_reasoning = REASONING_MODEL.match(str(self.body.get("model")))
        wanted = self.script.get("reasoning_tokens", REASONING_TOKENS.get(effort, 128) if is_reasoning else 0)
        return int(wanted if limit is None else min(wanted, limit))

    def limited(self, pieces: list[str], limit: int | None) -> tuple[list[str], int]:
        """Return the pieces of the answer that fit `limit` tokens, and the number of hidden tokens before the
        pieces.
        """
        limit = None if self.script.get("ignores_limit") else limit
        reasoning = self.reasoning_tokens(limit)
        return (pieces if limit is None else pieces[: (limit - reasoning) // self.chunk_tokens]), reasoning

    def expect(self, messages: list[Json], pieces: int, reasoning: int, *more: Any) -> None:
        """Note the bill of the whole call in advance. If the script names a usage, that usage is billed."""
        counted = chat_tokens(messages, *more) + image_tokens(str(self.body.get("model")), messages)
        output = max(pieces * self.chunk_tokens + reasoning, 1)
        whole = Bill(input_tokens=counted, output_tokens=output, reasoning_tokens=reasoning)
        if usage := self.script.get("usage"):
            names = ("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens")
            whole.input_tokens, whole.output_tokens = (sum(usage.get(name, 0) for name in pair) for pair in names)
        self.seen.whole = whole

    def begin(self) -> None:
        """Read the input and think: both are billed before anything is seen."""
        bill, whole = self.seen.bill, self.seen.whole
        bill.input_tokens = whole.input_tokens
        self.wire.pause(self.script.get("think_ms", 0))
        bill.output_tokens = bill.reasoning_tokens = whole.reasoning_tokens

    def pause(self, chunks: int = 1) -> None:
        """Wait as scripted before a chunk."""
        self.wire.pause(self.script.get("delay_ms", self.state.delay_ms) * chunks)

    def sent(self) -> None:
        """Note that a chunk was generated and sent. If the script says so, wait until `go` lets the call continue."""
        seen, bill = self.seen, self.seen.bill
        seen.chunks_sent += 1
        bill.output_tokens += self.chunk_tokens
        bill.delivered_tokens += self.chunk_tokens
        self.wait()

    def wait(self) -> None:
        """Wait at a chunk named in `pause_at`."""
        named = self.script.get("pause_at", ())
        if self.seen.chunks_sent in ([named] if isinstance(named, int) else named):
            self.wire.wait_at(self.seen.gate)

    def is_to_break(self) -> bool:
        """Return True if the script breaks the connection at this chunk."""
        return bool(self.seen.chunks_sent == self.script.get("fail_after", -1))

    def end(self) -> None:
        """Note that the call has been generated to its end."""
        self.seen.outcome = "answered"
        self.seen.bill_to_the_end()
        self.seen.bill.is_reported = self.seen.usage is not None

    def deliver(self, answer: Json, chunks: int = 0) -> None:
        """Send a whole answer. The journal is written first, since the reader of the answer reads the journal next."""
        self.seen.chunks_sent = chunks
        self.seen.bill.delivered_tokens = chunks * self.chunk_tokens
        self.end()
        try:
            self.wire.json(answer)
        except OSError:
            self.seen.bill.delivered_tokens = 0
            raise

    def cut(self) -> None:
        """Break the connection. The provider continues to generate, unless a hang-up ends the generation."""
        self.seen.outcome = "cut"
        if not self.ends_on_abort:
            self.seen.bill_to_the_end()
        self.wire.cut()

    def failed(self) -> None:
        """Note that the provider failed. The tokens generated so far are billed."""
        self.seen.outcome = "cut"
        self.wire.close_connection = True

    def aborted(self) -> None:
        """Note that the client went away. Unless the script ends the bill then, the whole answer is billed."""
        self.seen.outcome = "aborted"
        if not self.ends_on_abort:
            self.seen.bill_to_the_end()
        self.wire.close_connection = True


def tokens_of(reply: str) -> list[str]:
    """Return a reply as output tokens: words with the white space before them."""
    return re.findall(r"\s*\S+", reply)
