"""Idempotency keys: a repeated write finds what the first one did."""

import json
from hashlib import sha256
from typing import Annotated

from fastapi import Header
from pydantic import BaseModel

IdempotencyKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        max_length=200,
        pattern=r"^[\x20-\x7e]*$",
        description="a repeat with the same key and body has no further effect; another body is refused",
    ),
]


def digest_of(*parts: object) -> str:
    """Return the sha256 of JSON documents, in hex; the same documents give the same digest."""
    documents = [each.model_dump(mode="json") if isinstance(each, BaseModel) else each for each in parts]
    return sha256(json.dumps(documents, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
