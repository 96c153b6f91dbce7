"""Quotas: what an institution is promised of a chip, may borrow and lends, and what each person may hold."""

from dataclasses import dataclass

ANY = "*"
"""All accelerators together."""

INSTITUTION, PROJECT = "institution", "project"


@dataclass(frozen=True, slots=True)
class Allotment:
    """Cards of one accelerator, or of all (`*`), that an account may hold at once.

    `nominal` are promised: whoever is within them is served before all who borrow. `borrow` is how many more
    it may hold while others leave them idle, `lend` how many of its idle nominal cards others may hold; None
    is without limit. What is not lent is kept free for it. `each_person` is the most that the jobs of any
    one person may hold of it in a project; None is without limit.
    """

    accelerator: str
    nominal: int
    borrow: int | None = None
    lend: int | None = None
    each_person: int | None = None

    @property
    def ceiling(self) -> int | None:
        """The most that may be held at once, None without limit."""
        return None if self.borrow is None else self.nominal + self.borrow

    @property
    def kept_back(self) -> int:
        """How many of the nominal cards are kept free for it while it does not need them."""
        return 0 if self.lend is None else max(0, self.nominal - self.lend)


@dataclass(frozen=True, slots=True)
class Quota:
    """The share and the allotments of an institution or a project.

    `share_milli` weighs its part against others of its kind: with 2,000 it is served as if it had used half
    as much. An accelerator without an allotment has a nominal of 0 and no limit.
    """

    kind: str
    name: str
    share_milli: int = 1000
    allotments: tuple[Allotment, ...] = ()

    @property
    def id(self) -> str:
        """Its name in the registry."""
        return f"{self.kind}/{self.name}"

    @property
    def limits_people(self) -> bool:
        """True if it says what each person of a project may hold."""
        return self.kind == PROJECT and any(each.each_person is not None for each in self.allotments)
