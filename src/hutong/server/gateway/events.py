"""The events of a stream on their way through: split, counted, renamed, and otherwise left as they are."""

from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from hutong.server.gateway.purse import Tokens

EVENT_BYTES_MAX = 4 << 20
DONE = b"[DONE]"
_TOKENS_MAX = 1 << 31


class Oversize(Exception):
    """An event does not end; the engine is not to be trusted."""


class Splitter:
    """Cuts bytes into server-sent events, each with the empty line that ends it."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yield the events that are whole now."""
        data = self._rest + piece
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n")
        *events, self._rest = data.split(b"\n\n")
        if len(self._rest) > EVENT_BYTES_MAX:
            raise Oversize
        for event in events:
            if event:
                yield event + b"\n\n"

    @property
    def rest(self) -> bytes:
        """What came behind the last whole event."""
        return self._rest


@dataclass(slots=True)
class Tally:
    """What was seen of an answer: how many pieces of text, and the engine's own count if it gave one."""

    counted_in: int
    pieces: int = 0
    usage: tuple[int, int] | None = None
    done: bool = False

    def tokens(self) -> Tokens:
        """Return what to charge: the engine's last word on usage, else what was counted."""
        if self.usage is not None:
            return Tokens(self.usage[0], self.usage[1], "upstream")
        return Tokens(self.counted_in, self.pieces, "counted")

    def note_usage(self, usage: object) -> None:
        """Take the engine's count. It is cumulative: the last one stands, nothing is added up."""
        if not isinstance(usage, dict):
            return
        numbers = (usage.get("prompt_tokens"), usage.get("completion_tokens", 0))
        prompt, completion = (
            each if isinstance(each, int) and not isinstance(each, bool) and 0 <= each < _TOKENS_MAX else None
            for each in numbers
        )
        if prompt is not None and completion is not None:
            self.usage = (prompt, completion)


@dataclass(slots=True)
class Passage:
    """Changes events on their way: the model by the name it was called, usage only where asked for."""

    name: str
    wants_usage: bool
    tally: Tally
    failed: bool = False

    def pass_on(self, event: bytes) -> bytes:
        """Return what the caller gets of an event; empty if it is only for us."""
        data = _data_of(event)
        if not data:
            return event
        if data == DONE:
            self.tally.done = True
            return event
        try:
            document = orjson.loads(data)
        except orjson.JSONDecodeError:
            return event
        if not isinstance(document, dict):
            return event
        if "error" in document and "choices" not in document:
            self.failed = True
            return event
        return self._change(document, event)

    def _change(self, document: dict[str, object], event: bytes) -> bytes:
        changed = False
        choices = document.get("choices")
        if "usage" in document:
            self.tally.note_usage(document["usage"])
            if not self.wants_usage:
                if not choices:
                    return b""
                del document["usage"]
                changed = True
        self.tally.pieces += count_pieces(choices)
        if "model" in document and document["model"] != self.name:
            document["model"] = self.name
            changed = True
        return b"data: " + orjson.dumps(document) + b"\n\n" if changed else event


def _data_of(event: bytes) -> bytes:
    if event.startswith(b"data: ") and event.count(b"\n") == 2:  # what every engine sends
        return event[6:].strip()
    lines = [line[5:].strip() for line in event.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines)


def count_pieces(choices: object) -> int:
    """Return how many choices of a chunk carry something generated: engines send a token or more in each."""
    if not isinstance(choices, list):
        return 0
    return sum(1 for choice in choices if isinstance(choice, dict) and _has_content(choice))


def _has_content(choice: dict[str, object]) -> bool:
    if choice.get("text"):
        return True
    delta = choice.get("delta")
    if not isinstance(delta, dict):
        return False
    return any(
        delta.get(name) for name in ("content", "reasoning_content", "reasoning", "tool_calls", "refusal")
    )
