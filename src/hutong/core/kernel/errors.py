"""The one tree of errors; the class says who must act.

HutongError
├── Refused   the caller's fault: say what is wrong and what would be right (HTTP 4xx, exit code 2)
│   ├── NotFound   no such thing, or not yours to see (404)
│   ├── Denied     known, but not allowed (401, 403)
│   ├── Conflict   true when asked, no longer true (409)
│   └── Waits      written down; it happens once a second person agrees (202)
├── Later     try again: a lock, a full queue, a site out of reach (503)
└── Broken    our fault: an invariant does not hold; stop the turn, never guess (500)
"""

from dataclasses import dataclass


class HutongError(Exception):
    """Base of every error that Hutong raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with an input. `path` is a JSON pointer into the document."""

    path: str
    message: str
    hint: str = ""


class Refused(HutongError):
    """The request cannot be accepted as it stands; `code` is stable, `problems` name the fields."""

    status = 422

    def __init__(self, code: str, message: str, problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.problems = problems


class NotFound(Refused):
    """No such thing, or not visible to the caller: the two are not told apart."""

    status = 404


class Denied(Refused):
    """The caller is not known (`code` `unauthenticated`) or may not do this (`forbidden`)."""

    status = 403


class Conflict(Refused):
    """The thing exists in another form, or changed in the meantime."""

    status = 409


class Waits(Refused):
    """Nothing is wrong with it, but it takes two people: it was written down and waits for the second."""

    status = 202


class Later(HutongError):
    """Nothing is wrong with the request; `after_s` says when another try makes sense."""

    def __init__(self, message: str, after_s: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.after_s = after_s


class Broken(HutongError):
    """An invariant of ours does not hold."""
