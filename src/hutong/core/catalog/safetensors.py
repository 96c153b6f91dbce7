"""The safetensors format: proves from a file's head and size that it holds numbers and nothing else.

Source: the format's own description (github.com/huggingface/safetensors, README, "Format"): 8 bytes with the
length of the header, little endian; the header, JSON; then the numbers, without holes.
"""

import json
from collections.abc import Mapping
from math import prod

from hutong.core.kernel.errors import Problem, Refused

LENGTH_BYTES = 8
HEADER_BYTES_MAX = 16 << 20
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U16": 16, "I16": 16, "F16": 16, "BF16": 16,
    "U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64, "C64": 64,
}  # fmt: skip


def header_length(start: bytes, size_bytes: int, path: str) -> int:
    """Return the length of the header that the first 8 bytes of a file of that size announce."""
    length = int.from_bytes(start[:LENGTH_BYTES], "little")
    if len(start) < LENGTH_BYTES or LENGTH_BYTES + length > size_bytes or length < 2:
        raise _broken(path, f"its header would be {length} bytes, the file has {size_bytes}")
    if length > HEADER_BYTES_MAX:
        raise _broken(path, f"its header is {length} bytes, more than {HEADER_BYTES_MAX}")
    return length


def check_header(header: bytes, size_bytes: int, path: str) -> int:
    """Return how many tensors the header (without its length) describes; raises Refused `unsafe_model`.

    Every tensor has a known type, a shape that fits its bytes, and the bytes lie side by side to the end.
    """
    try:
        document = json.loads(header.decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise _broken(path, f"its header is not JSON: {str(error)[:200]}") from error
    if not isinstance(document, dict):
        raise _broken(path, "its header is not a mapping")
    document.pop("__metadata__", None)
    spans = sorted(_span(name, each, path) for name, each in document.items())
    room = size_bytes - LENGTH_BYTES - len(header)
    at = 0
    for start, end in spans:
        if start != at:
            raise _broken(path, f"its tensors do not lie side by side at byte {min(at, start)}")
        at = end
    if not spans or at != room:
        raise _broken(path, f"its tensors fill {at} bytes of {room}")
    return len(spans)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a name occurs twice")
    return document


def _span(name: str, entry: object, path: str) -> tuple[int, int]:
    if not isinstance(entry, Mapping):
        raise _broken(path, f"{name[:100]!r} is not described")
    kind, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    bits = _BITS.get(kind) if isinstance(kind, str) else None
    sizes, ends = _naturals(shape), _naturals(offsets)
    if bits is None or sizes is None or ends is None or len(ends) != 2 or len(sizes) > 64:
        raise _broken(path, f"{name[:100]!r} has no known dtype, shape and data_offsets")
    if (ends[1] - ends[0]) * 8 != prod(sizes) * bits:
        raise _broken(path, f"{name[:100]!r} has {ends[1] - ends[0]} bytes, not those of its shape")
    return ends[0], ends[1]


def _naturals(value: object) -> tuple[int, ...] | None:
    if not isinstance(value, list):
        return None
    whole = all(
        isinstance(each, int) and not isinstance(each, bool) and 0 <= each < 1 << 53 for each in value
    )
    return tuple(value) if whole else None


def _broken(path: str, why: str) -> Refused:
    message = f"{path} is not a safetensors file: {why}"
    problem = Problem("/path", message, "write it with safetensors.save_file or save_pretrained")
    return Refused("unsafe_model", message, (problem,))
