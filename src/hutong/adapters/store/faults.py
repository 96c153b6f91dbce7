"""What a check of the ledger may find wrong, in words; and which kinds of transactions it counts."""

from hutong.core.book.money import RERATING

# Only these kinds of transaction earn revenue for use, or take it back; of
# these a centre gets its share: what was waived, it broke itself.

CHARGING = ("usage", "tokens", "reversal", RERATING)
TAKING = (*CHARGING, "waiver")
UNBALANCED = "L1: the entries of {} sum to {} micro"
BELOW_FLOOR = "L4: {} has {} micro available, below its floor"
OVERPAID = "L5: {} stands at {} micro: more was paid back than was owed"
WRONG_BALANCE = "L6: {} is booked at {} micro, its entries sum to {}"
NO_ACCOUNT = "L6: {} has entries of {} micro and no account"
WRONG_HELD = "L6: {} holds {} micro, its open holds sum to {}"
UNBOOKED = "L7: the use of {} is rated at {} micro, its revenue is {}"


def charge_fault(key: str, charge_micro: int, used_micro: int) -> str:
    """Return the fault of an attempt whose charge is not what its usage records sum to."""
    return f"L10: {key} was charged {charge_micro} micro, its usage records sum to {used_micro}"


def stray_fault(count: int) -> str:
    """Return the fault of usage records that belong to no attempt."""
    return f"L7: {count} usage records of cards belong to no attempt in the book"


def use_fault(group: tuple[object, ...]) -> str:
    """Return the fault of a group of use by day that is not what its usage records sum to."""
    return f"L11: use by day of {'/'.join(map(str, group))} is not what its usage records sum to"


def rollup_fault(family: str, group: tuple[object, ...]) -> str:
    """Return the fault of sums of reports that are not those of what they sum."""
    return f"L12: {family} of {'/'.join(map(str, group))} is not what its records sum to: rebuild the sums"
