"""Logins of users at the identity provider: asked for at most once a minute, beside the call that needs the answer.

A token states for up to an hour the facts at its issue, and an API key states nothing about the owner's login. So each
instance asks the provider for the user, trusts the answer for a minute, and asks again.
"""

import _thread
import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from shared.kernel.clock import Clock
from shared.kernel.errors import DomainError
from shared.kernel.events import log
from shared.kernel.ids import Uid
from shared.users.ports import Identity, IdentityUnavailable, Unauthenticated, UserNotFound

KNOWN_SECONDS = 60.0
"""Age up to which an answer counts, so that a disabled or deleted login stops its keys within a minute."""
TRUSTED_SECONDS = 900.0
"""Age up to which the last answer counts while the provider is unreachable. After this age, calls are refused."""
WAIT_SECONDS = 5.0
"""Longest wait of a call for an answer. After this wait, the provider counts as unreachable."""
QUESTION_SECONDS = 60.0
"""Age from which an unanswered question is given up, so that another may be asked."""
RETRY_SECONDS = 5.0
"""Time after a failed question in which the provider is not asked again."""
LOGINS_MAX = 10_000


class LoginDisabled(Unauthenticated):
    """The login of the caller, or of the owner of this API key or work, is disabled or deleted."""

    code = "login_disabled"

    def __init__(self) -> None:
        super().__init__(
            "This login, or that of the API key's owner, is disabled or deleted. Ask for it to be enabled."
        )


@dataclass(frozen=True, slots=True)
class _LoginAnswer:
    """Answer of the provider. The age counts from `asked_at`, the moment of the question in monotonic seconds."""

    stands: bool
    asked_at: float


@dataclass(frozen=True, slots=True)
class _Question:
    """Request to the provider under way. `ended` is set once the request is answered or has failed."""

    asked_at: float
    ended: threading.Event = field(default_factory=threading.Event)


class Asking:
    """Question to the identity provider whether a login is enabled. The answer arrives while the call continues."""

    def __init__(self, logins: "Logins", uid: Uid, question: _Question | None) -> None:
        self._logins = logins
        self._uid = uid
        self._question = question

    def confirm(self) -> None:
        """Wait for the answer.

        Raises LoginDisabled if the login is disabled or gone, IdentityUnavailable without an answer.
        """
        self._logins.confirm(self._uid, self._question)


class Logins:
    """Cache of the identity provider's answers whether users' logins are enabled. Safe to share between threads."""

    def __init__(self, identity: Identity, clock: Clock) -> None:
        self._identity = identity
        self._clock = clock
        self._lock = threading.Lock()
        self._answers: OrderedDict[Uid, _LoginAnswer] = OrderedDict()
        self._questions: dict[Uid, _Question] = {}
        self._failed_at: float | None = None

    def check(self, uid: Uid) -> None:
        """Ask the provider whether the user's login is enabled, and wait for the answer.

        Raises LoginDisabled, IdentityUnavailable.
        """
        self.ask(uid).confirm()

    def ask(self, uid: Uid) -> Asking:
        """Begin to ask the provider whether the user's login is enabled, unless an answer of the last minute is known.

        Return the question; `confirm` of the question waits for the answer.
        """
        now = self._clock.monotonic()
        with self._lock:
            if self._is_younger(uid, KNOWN_SECONDS, now) or self._is_out_of_reach(now):
                return Asking(self, uid, None)
            question = self._questions.get(uid)
            if question is not None and now - question.asked_at < QUESTION_SECONDS:
                return Asking(self, uid, question)
            question = self._questions[uid] = _Question(now)
        try:
            _thread.start_new_thread(self._answer, (uid, question))
        except RuntimeError:
            # There is no thread left: ask on this one.
            self._answer(uid, question)
        return Asking(self, uid, question)

    def confirm(self, uid: Uid, question: _Question | None) -> None:
        """Wait for the answer to this question, if there is one.

        Then decide by the last answer, if that is recent enough.

        Raises LoginDisabled, IdentityUnavailable.
        """
        is_late = question is not None and not self._has_ended(question)
        with self._lock:
            if is_late:
                # Nobody else is to wait so long for a provider that hangs.
                self._failed_at = self._clock.monotonic()
            answer = self._answers.get(uid)
            if answer is None or not self._is_younger(uid, TRUSTED_SECONDS, self._clock.monotonic()):
                raise IdentityUnavailable
        if not answer.stands:
            raise LoginDisabled

    def _has_ended(self, question: _Question) -> bool:
        left = question.asked_at + WAIT_SECONDS - self._clock.monotonic()
        return question.ended.wait(max(0.0, left))

    def _answer(self, uid: Uid, question: _Question) -> None:
        """Ask the identity provider about a login, remember the answer, and end the wait of all who share the question.

        After a failure nothing is remembered but its time.
        """
        failed_at: float | None = None
        answer: _LoginAnswer | None = None
        try:
            answer = _LoginAnswer(self._stands(uid), question.asked_at)
        except DomainError as error:
            failed_at = self._clock.monotonic()
            log("login_not_confirmed", "WARNING", uid=uid, code=error.code)
        finally:
            with self._lock:
                self._failed_at = failed_at
                if answer is not None:
                    self._remember(uid, answer)
                if self._questions.get(uid) is question:
                    del self._questions[uid]
            question.ended.set()

    def _stands(self, uid: Uid) -> bool:
        try:
            return not self._identity.get_user(uid).is_disabled
        except UserNotFound:
            return False

    def _remember(self, uid: Uid, answer: _LoginAnswer) -> None:
        self._answers[uid] = answer
        self._answers.move_to_end(uid)
        while len(self._answers) > LOGINS_MAX:
            self._answers.popitem(last=False)

    def _is_younger(self, uid: Uid, seconds: float, now: float) -> bool:
        answer = self._answers.get(uid)
        return answer is not None and now - answer.asked_at < seconds

    def _is_out_of_reach(self, now: float) -> bool:
        return self._failed_at is not None and now - self._failed_at < RETRY_SECONDS
