"""Commitments as they are kept: card-hours a month that somebody promised to use, at a price of their own."""

from dataclasses import dataclass

from hutong.core.accounts.budgets import Scope

COMMITMENT = "commitment"
"""The kind of documents in the registry."""

COMMITMENTS_MAX = 1_000
"""How many there may be in all; ended ones stay and count."""


@dataclass(frozen=True, slots=True)
class Commitment:
    """`card_ms` a month of an accelerator at `micro` a card-hour, in months `[from_month, upto_month)`.

    Months are of the platform's zone, such as 2027-03. `scope` is an institution or a project, `name` its id.
    With `take_or_pay` the project `pays` what was not used of a month, at the same price.
    """

    id: str
    scope: Scope
    name: str
    pays: str
    accelerator: str
    card_ms: int
    micro: int
    take_or_pay: bool
    from_month: str
    upto_month: str
    reason: str
    by: str
    at_ms: int

    def binds(self, month: str) -> bool:
        """True if it is for that month."""
        return self.from_month <= month[:7] < self.upto_month
