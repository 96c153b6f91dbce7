"""JSON for little: the interpreter's own reader and writer, without the modules round them.

`json` brings `re` and `enum` along, more than half of what a short job's supervisor would need in all. Where
this Python has these parts otherwise, or a text is not what the reader expects, `json` does it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _Reading:
    """What the reader asks of `json.JSONDecoder`."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    array_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    memo: dict[str, str] = {}  # noqa: RUF012  (the reader written in Python wants it)


def loads(data: bytes) -> Any:  # noqa: ANN401  (as json.loads)
    """Return the value of a JSON text; raises ValueError as `json.loads` does."""
    try:
        from _json import make_scanner

        text = data.decode()
        value, end = make_scanner(_Reading)(text, 0)  # type: ignore[arg-type]
    except (ImportError, AttributeError, TypeError, StopIteration, UnicodeDecodeError):
        end = -1
    if end < 0 or text[end:].strip():
        import json

        return json.loads(data)
    return value


def dumps(value: object) -> bytes:
    """Return a value as JSON without spaces; raises TypeError for what JSON does not know."""
    try:
        from _json import encode_basestring_ascii, make_encoder

        write = make_encoder(None, _refuse, encode_basestring_ascii, None, ":", ",", False, False, True)
        return "".join(write(value, 0)).encode()
    except (ImportError, AttributeError, TypeError):
        import json

        return json.dumps(value, separators=(",", ":")).encode()


def _refuse(value: object) -> object:
    raise TypeError(f"{type(value).__name__} is no JSON")
