"""The part of an agent's file that names meters."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from hutong.agent.meter_sources import MeterSource
from hutong.wire.base import Slug
from hutong.wire.meters import Unit


class MeterTable(BaseModel):
    """Where a meter's register is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    meter: Slug
    unit: Unit = "kWh"
    format: Literal["number", "json", "prometheus"] = "number"
    command: tuple[str, ...] = ()
    file: Path | None = None
    value: str = Field("/value", pattern=r"^(/.*)?$")
    sample: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    max_age_s: int = Field(300, ge=10, le=3600)

    @model_validator(mode="after")
    def _has_one_source(self) -> "MeterTable":
        if bool(self.command) == bool(self.file):
            raise ValueError("a meter wants either command or file")
        if (self.format == "prometheus") != bool(self.sample):
            raise ValueError('format = "prometheus" wants sample, and no other format does')
        return self

    def source(self) -> MeterSource:
        """Return where and how it is read."""
        return MeterSource(form=self.format, **self.model_dump(exclude={"format"}))


def _apart(meters: tuple[MeterTable, ...]) -> tuple[MeterTable, ...]:
    if len({each.meter for each in meters}) < len(meters):
        raise ValueError("two of them are one meter")
    return meters


MeterTables = Annotated[tuple[MeterTable, ...], Field(max_length=200), AfterValidator(_apart)]
"""The tables `[[meters]]` of the file."""
