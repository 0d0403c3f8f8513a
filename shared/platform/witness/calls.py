"""Calls of witnesses over HTTP (C2SP tlog-witness): no redirect, and limits for size and time."""

from http.client import HTTPException

from shared.kernel.small_answers import small_answer
from shared.ledger.log.witnesses import WitnessAnswer, WitnessSilent

ANSWER_SECONDS_MAX = 5.0
BYTES_MAX = 64 * 1024
HEADERS = {"Content-Type": "text/plain; charset=utf-8", "User-Agent": "integrated-credits"}
FAILED_FROM = 500


class HttpWitnessCalls:
    """Witnesses at addresses; see `WitnessCalls`. Safe to share between threads."""

    def add_checkpoint(self, url: str, body: bytes) -> WitnessAnswer:
        """Return the answer of a witness; see `WitnessCalls.add_checkpoint`.

        A failure of the witness (status 5xx) is silence: the same request may succeed later.
        """
        address = f"{url.rstrip('/')}/add-checkpoint"
        try:
            answer = small_answer(address, HEADERS, seconds=ANSWER_SECONDS_MAX, bytes_max=BYTES_MAX, content=body)
        except (OSError, HTTPException, ValueError) as error:
            raise WitnessSilent from error
        if answer.status >= FAILED_FROM or len(answer.body) > BYTES_MAX:
            raise WitnessSilent
        return WitnessAnswer(status=answer.status, body=answer.body)
