"""Identifiers of resources: registered once, resolved by anybody, transferred, retired, never given again.

The scheme is a plug-in. China's national format is not published: `given` keeps codes that another registry
assigned, `hutong` makes codes of its own with a check character.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Protocol

from hutong.core.kernel.errors import Conflict, Problem, Refused

KINDS = ("centre", "site", "pool")
"""What an identifier may stand for: `centre/ID`, `site/ID`, `pool/SITE/POOL`."""
EVENTS_MAX = 100
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MOST_NUMBER = 10**8 - 1


class Scheme(Protocol):
    """How the codes of one kind of identifier look. `issues`: it makes them; else each is given."""

    name: str
    issues: bool
    about: str

    def issue(self, kind: str, number: int) -> str:
        """Return the code of the `number`-th identifier of the scheme, for something of that kind."""
        ...

    def canonical(self, code: str) -> str:
        """Return the one way in which a code is written."""
        ...

    def fault(self, code: str, kind: str) -> str:
        """Return what is wrong with a canonical code for something of that kind, or an empty string."""
        ...


class HutongScheme:
    """`HT`, a letter for the kind, eight digits that count up, a check character of ISO 7064 MOD 37,36.

    The check finds any one wrong character and nearly all that are swapped.
    """

    name = "hutong"
    issues = True
    about = "HT, a letter for the kind (C, S, P), eight digits, a check character of ISO 7064 MOD 37,36"
    _letters = MappingProxyType({"centre": "C", "site": "S", "pool": "P"})
    _form = re.compile(r"^HT-([CSP])-(\d{8})-([0-9A-Z])$")

    def issue(self, kind: str, number: int) -> str:
        """Return the code of a number; raises Refused when there are no more."""
        if not 0 < number <= _MOST_NUMBER:
            raise Refused("no_more_codes", f"the scheme has no more than {_MOST_NUMBER} codes")
        body = f"{self._letters[kind]}{number:08d}"
        return f"HT-{body[0]}-{body[1:]}-{check_character(body)}"

    def canonical(self, code: str) -> str:
        """Return a code in capitals without spaces around it."""
        return code.strip().upper()

    def fault(self, code: str, kind: str) -> str:
        """Return what is wrong with a code."""
        match = self._form.match(code)
        if match is None:
            return "it is not HT, a kind, eight digits and a check character"
        wanted = check_character(match[1] + match[2])
        if match[3] != wanted:
            return f"its check character is {match[3]!r} and would have to be {wanted!r}"
        return "" if self._letters[kind] == match[1] else f"{match[1]} is not the letter of a {kind}"


class GivenScheme:
    """Codes that another registry assigned: only their form is checked."""

    name = "given"
    issues = False
    about = "a code that another registry assigned: 1 to 96 letters, digits and . _ : -"
    _form = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,95}$")

    def issue(self, kind: str, number: int) -> str:  # noqa: ARG002 - the protocol's
        """Raise Refused: there is nothing to make."""
        raise Refused("code_needed", "codes of this scheme come from another registry",
                      (Problem("/code", "a code is needed", "the code that was assigned"),))  # fmt: skip

    def canonical(self, code: str) -> str:
        """Return a code without spaces around it."""
        return code.strip()

    def fault(self, code: str, kind: str) -> str:  # noqa: ARG002 - the protocol's
        """Return what is wrong with a code."""
        return "" if self._form.match(code) else f"it is not {self.about}"


BUILT_IN: Mapping[str, Scheme] = MappingProxyType(
    {each.name: each for each in (HutongScheme(), GivenScheme())}
)


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to an identifier: `registered`, `transferred` or `retired`; who holds it from then on."""

    what: str
    at_ms: int
    by: str
    holder: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Identifier:
    """A code, and what it stands for: `subject` is `KIND/NAME`, `holder` who answers for it.

    `successor` is the identifier that took its place, once it is retired. Events are never edited.
    """

    scheme: str
    code: str
    subject: str
    holder: str
    events: tuple[Event, ...]
    retired: bool = False
    successor: str = ""

    @property
    def id(self) -> str:
        """Its name among those of all schemes."""
        return f"{self.scheme}:{self.code}"


def kind_of(subject: str) -> str:
    """Return the kind of a subject; raises Refused where it is none."""
    kind, *names = subject.split("/")
    wanted = {"centre": 1, "site": 1, "pool": 2}.get(kind, 0)
    if not wanted or len(names) != wanted or not all(names):
        problem = Problem("/subject", f"{subject!r} is nothing that has identifiers",
                          "centre/ID, site/ID or pool/SITE/POOL")  # fmt: skip
        raise Refused("bad_subject", problem.message, (problem,))
    return kind


def transfer(there: Identifier, event: Event) -> Identifier:
    """Return an identifier that another holds; a repeat changes nothing. Raises Conflict if it is retired."""
    if there.retired:
        raise Conflict("retired", f"{there.id} is retired, and stays with {there.holder or 'nobody'}")
    if there.holder == event.holder:
        return there
    _room(there)
    return replace(there, holder=event.holder, events=(*there.events, event))


def retire(there: Identifier, event: Event, successor: str = "") -> Identifier:
    """Return an identifier that is out of use for ever; a repeat changes nothing. Raises Conflict."""
    if there.retired:
        if there.successor == successor:
            return there
        raise Conflict("retired", f"{there.id} is retired already, with {there.successor or 'no successor'}")
    if successor == there.id:
        problem = Problem("/successor", "nothing succeeds itself", "another identifier, or none")
        raise Refused("bad_successor", problem.message, (problem,))
    return replace(there, retired=True, successor=successor, events=(*there.events, event))


def check_character(body: str) -> str:
    """Return the check character of digits and capitals. Source: ISO 7064:2003, hybrid system MOD 37,36."""
    left = 36
    for letter in body:
        left = (left + _ALPHABET.index(letter)) % 36 or 36
        left = left * 2 % 37
    return _ALPHABET[(37 - left) % 36]


def _room(there: Identifier) -> None:
    if len(there.events) >= EVENTS_MAX - 1:
        raise Refused("too_many", f"an identifier has no more than {EVENTS_MAX} events")
