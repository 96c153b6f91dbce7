"""The receipt of a placement: all that the decision knew and all that it said, replayable bit for bit."""

from dataclasses import dataclass, replace
from hashlib import sha256

from hutong.core.kernel.documents import decode, encode
from hutong.core.placement.decide import Decision, decide
from hutong.core.placement.request import Policy, PoolView, Request

VERSION = 3


@dataclass(frozen=True, slots=True)
class Receipt:
    """Why an attempt went where it went. `version` names the decision code that wrote it."""

    version: int
    job: str
    attempt: int
    at_ms: int
    policy: Policy
    request: Request
    pools: tuple[PoolView, ...]
    decision: Decision


def encode_receipt(receipt: Receipt) -> bytes:
    """Return the canonical bytes that are stored."""
    return encode(receipt)


def decode_receipt(data: bytes) -> Receipt:
    """Return the receipt that was stored; raises Broken if it is of a shape we do not know."""
    return decode(Receipt, data)


def digest(receipt: Receipt) -> str:
    """Return `sha256:<hex>` of the canonical bytes."""
    return f"sha256:{sha256(encode_receipt(receipt)).hexdigest()}"


def replay(receipt: Receipt) -> Receipt:
    """Decide again from the receipt's own inputs; equal receipts mean an equal decision."""
    return replace(receipt, decision=decide(receipt.request, receipt.pools, receipt.policy))


def differences(one: Receipt, other: Receipt) -> tuple[str, ...]:
    """Return in words where two decisions differ; empty if they are the same."""
    found = []
    if one.decision.chosen != other.decision.chosen:
        found.append(f"chosen: {one.decision.choice} became {other.decision.choice}")
    pairs = zip(one.decision.rows, other.decision.rows, strict=True)
    found += [f"{a.site}/{a.pool}: {a} became {b}" for a, b in pairs if a != b]
    return tuple(found)
