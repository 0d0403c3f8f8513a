"""A check, a finding, and a fact: the parts of which `make doctor` is made. Pure.

A check reads facts and yields a sentence for each mistake. A fact that could not be read is a finding of its own.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

if TYPE_CHECKING:
    from emulator.cloud.checks.project import ProjectFacts

T = TypeVar("T")
Severity = Literal["wrong", "hint", "unread"]
Look = Callable[["ProjectFacts"], Iterable["str | Told"]]

UNREAD = "could_not_look"
"""Name of the finding about a fact that could not be read."""


class CouldNotLook(Exception):
    """Error for a check whose fact could not be read. `explained_by` names checks whose finding is the cause."""

    def __init__(self, subject: str, reason: str, remedy: str, explained_by: tuple[str, ...]) -> None:
        super().__init__(f"Could not look at {subject}, because {reason}")
        self.subject = subject
        self.reason = reason
        self.remedy = remedy
        self.explained_by = explained_by


@dataclass(frozen=True, slots=True)
class Fact(Generic[T]):
    """Part of a project as a reader found that part, or the reason why the part could not be read.

    `subject` is a noun such as `the topics`. `read` is a tuple of the value, empty if nothing was read.
    """

    subject: str
    read: tuple[T, ...] = ()
    reason: str = "nobody has looked."
    remedy: str = "Remove the cause, and run the doctor again."
    explained_by: tuple[str, ...] = ()

    @property
    def value(self) -> T:
        """Return the value. Raises CouldNotLook."""
        if not self.read:
            raise CouldNotLook(self.subject, self.reason, self.remedy, self.explained_by)
        return self.read[0]


def known(subject: str, value: T) -> Fact[T]:
    """Return the fact that was read."""
    return Fact(subject, (value,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Sentence of a check with a remedy of its own."""

    sentence: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Mistake in a project: the name of the check, a sentence about the mistake, and the change that removes it."""

    name: str
    severity: Severity
    sentence: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Search for one kind of mistake.

    `meaning` describes the mistake in general. `remedy` may name `{project}`.
    """

    name: str
    severity: Severity
    meaning: str
    remedy: str
    look: Look

    def findings(self, project: "ProjectFacts") -> Iterator[Finding]:
        """Yield this check's findings. Raises CouldNotLook."""
        for each in self.look(project):
            told = each if isinstance(each, Told) else Told(sentence=each, remedy=self.remedy)
            remedy = told.remedy.replace("{project}", project.name)
            sentence = project.hidden(told.sentence)
            yield Finding(name=self.name, severity=self.severity, sentence=sentence, remedy=remedy)


def check(remedy: str, *, severity: Severity = "wrong") -> Callable[[Look], Check]:
    """Make a check of a function: the function's name is the check's, the docstring the meaning."""

    def made(look: Look) -> Check:
        meaning = " ".join((look.__doc__ or "").split())
        return Check(name=look.__name__, severity=severity, meaning=meaning, remedy=remedy, look=look)

    return made


def examine(project: "ProjectFacts", checks: Sequence[Check]) -> list[Finding]:
    """Return the findings of all checks: mistakes first, then facts that could not be read, then hints.

    An unread fact is left out if a finding explains the failure, and is named once however many checks need the fact.
    """
    found: list[Finding] = []
    unread: dict[str, CouldNotLook] = {}
    for each in checks:
        try:
            found += each.findings(project)
        except CouldNotLook as error:
            unread.setdefault(error.subject, error)
        except Exception as error:  # noqa: BLE001  # one broken check must not hide what the others find
            unread[each.name] = _broken(each, error)
    names = {finding.name for finding in found}
    found += [_unread(project, error) for error in unread.values() if not names & set(error.explained_by)]
    order: tuple[Severity, ...] = ("wrong", "unread", "hint")
    return sorted(dict.fromkeys(found), key=lambda finding: order.index(finding.severity))


def _broken(check: Check, error: Exception) -> CouldNotLook:
    reason = f"the check `{check.name}` failed ({type(error).__name__})."
    remedy = "Look by hand at what docs/reference/checks.md says of this check, and report the failure."
    return CouldNotLook(f"`{check.name}`", reason, remedy, ())


def _unread(project: "ProjectFacts", error: CouldNotLook) -> Finding:
    return Finding(name=UNREAD, severity="unread", sentence=project.hidden(str(error)), remedy=error.remedy)
