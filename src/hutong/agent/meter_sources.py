"""What a meter's register shows, from a command or a file: a number, JSON, or a Prometheus exposition.

Never run against a meter of ours: the formats are those that exporters and Redfish services publish.
"""

import json
import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path

from hutong.core.book.meters import VALUE_MAX
from hutong.core.kernel.errors import Later, Refused
from hutong.core.kernel.quantities import BASE_UNITS

_ASK_S = 20.0
_MOST_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class MeterSource:
    """Where a meter's register is read: `command` or `file`, and how the text tells it, in `unit`.

    `value` is a JSON pointer (RFC 6901); `sample` and `labels` name one sample of an exposition. A file that
    was not written for `max_age_s` tells nothing.
    """

    meter: str
    unit: str
    form: str
    command: tuple[str, ...] = ()
    file: Path | None = None
    value: str = "/value"
    sample: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    max_age_s: int = 300

    @property
    def water(self) -> bool:
        """True if it counts water, not energy."""
        return self.unit in {"mL", "L", "m3"}

    def read(self) -> int:
        """Return what the register shows, in joules (of water, millilitres), rounded down.

        Raises Later where there is nothing to read, Refused where it is not what the source says.
        """
        text = self._run() if self.command else self._load()
        try:
            shown = _READERS[self.form](self, text)
        except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError) as error:
            raise _bad(f"it is no {self.form}: {error}") from error
        if not shown.is_finite() or shown < 0:
            raise _bad(f"a register shows a number from 0 up, not {shown}")
        if shown > VALUE_MAX:
            raise _bad(f"{shown} {self.unit} is more than a register shows")
        value = int(shown * BASE_UNITS[self.unit])
        if value > VALUE_MAX:
            raise _bad(f"{shown} {self.unit} is more than a register shows")
        return value

    def _run(self) -> str:
        try:
            done = subprocess.run(
                self.command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_ASK_S, check=True,
                env={**os.environ, "LC_ALL": "C"},
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError) as error:
            raise Later(str(error)) from error
        return done.stdout[:_MOST_BYTES].decode(errors="replace")

    def _load(self) -> str:
        try:
            with Path(self.file or "").open("rb") as file:
                age_s = time.time() - os.fstat(file.fileno()).st_mtime
                text = file.read(_MOST_BYTES)
        except OSError as error:
            raise Later(f"{self.file} cannot be read: {error}") from error
        if age_s > self.max_age_s:
            raise Later(f"{self.file} was written {age_s:.0f} s ago: whoever writes it has stopped")
        return text.decode(errors="replace")


def _read_number(_: MeterSource, text: str) -> Decimal:
    return _decimal(text.strip())


def _read_json(source: MeterSource, text: str) -> Decimal:
    found: object = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    for part in source.value.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isascii() and name.isdigit() and int(name) < len(found):
            found = found[int(name)]
        else:
            raise ValueError(f"there is nothing at {source.value}")
    if not isinstance(found, Decimal | str):
        raise ValueError(f"at {source.value} is no number")  # noqa: TRY004 - the text is wrong
    return _decimal(found)


def _read_prometheus(source: MeterSource, text: str) -> Decimal:
    from prometheus_client.parser import text_string_to_metric_families  # most agents never need it

    wanted = source.labels.items()
    found = [
        sample
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == source.sample and wanted <= sample.labels.items()
    ]
    if len(found) != 1:
        raise ValueError(f"{len(found)} samples are {source.sample} with these labels; one should be")
    at_s = found[0].timestamp
    if at_s is not None and time.time() - float(at_s) > source.max_age_s:
        raise ValueError(f"the sample is {time.time() - float(at_s):.0f} s old")
    return _decimal(repr(float(found[0].value)))


def _decimal(text: Decimal | str) -> Decimal:
    if isinstance(text, Decimal):
        return text
    if len(text) > 40:
        raise ValueError("that is longer than any number")
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text!r} is no number") from None


def _bad(text: str) -> Refused:
    return Refused("bad_reading", text)


_READERS = {"number": _read_number, "json": _read_json, "prometheus": _read_prometheus}
