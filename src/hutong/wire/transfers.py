"""Bytes that came to a site, as its agent tells of them."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

TRANSFERS_AT_ONCE = 16


class TransferDoc(BaseModel):
    """Bytes that came to the site from the platform's store; `at_ms` is when the last of them was there."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    at_ms: Annotated[int, Field(ge=0, lt=1 << 53)]
    size_bytes: Annotated[int, Field(ge=0, lt=1 << 53)]
    took_ms: Annotated[int, Field(ge=1, lt=1 << 53)]
