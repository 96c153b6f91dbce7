"""What a caller asks of a model: read, bounded, and made ready to be sent on."""

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from hutong.server.gateway.faults import bad_request

BODY_BYTES_MAX = 4 << 20
TOKENS_MAX = 32_768
TOKENS_UNLESS_TOLD = 1_024
CHOICES_MAX = 8
TEMPLATE_TOKENS = 512  # what a chat template may add before the first message
BYTES_PER_TOKEN = 4  # for counting a prompt whose engine does not say


@dataclass(frozen=True, slots=True)
class Ask:
    """A request to a model.

    `reserve_in` is no less than the tokens of the prompt: a token stands for a byte or more, and the body
    has more bytes than its messages have tokens with what a chat template puts between them.
    `reserve_out` is what it may generate: that limit is sent on, so it holds. `counted_in` stands in for
    an engine that does not report the prompt.
    """

    path: str
    model: str
    stream: bool
    wants_usage: bool
    reserve_in: int
    reserve_out: int
    counted_in: int
    document: Mapping[str, object]

    def body_for(self, upstream_model: str) -> bytes:
        """Return the body to send on: the model by its name there, limits stated, usage asked for."""
        changed: dict[str, object] = {**self.document, "model": upstream_model}
        if self.stream:
            options = self.document.get("stream_options")
            given = options if isinstance(options, Mapping) else {}
            changed["stream_options"] = {**given, "include_usage": True}
        return orjson.dumps(changed)


def read_ask(path: str, raw: bytes) -> Ask:
    """Return what a body asks for; raises Fault that names the field."""
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise bad_request(f"the body is not JSON: {error}", code="bad_json") from error
    if not isinstance(document, dict):
        raise bad_request("the body is a JSON object with model and messages", code="bad_json")
    model, stream = document.get("model"), document.get("stream") or False
    if not isinstance(model, str) or not 0 < len(model) <= 200:
        raise bad_request("model is the name of a deployment, such as project/name", "model")
    if not isinstance(stream, bool):
        raise bad_request("stream is true or false", "stream")
    prompt = document.get("messages" if path.endswith("/chat/completions") else "prompt")
    if prompt is None or prompt in ("", []):
        name = "messages" if path.endswith("/chat/completions") else "prompt"
        raise bad_request(f"{name} is missing or empty", name)
    options = document.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise bad_request("stream_options is an object", "stream_options")
    choices = _read_choices(document)
    limit = _read_limit(document)
    return Ask(
        path=path,
        model=model,
        stream=stream,
        wants_usage=bool(options and options.get("include_usage")),
        reserve_in=len(raw) + TEMPLATE_TOKENS,
        reserve_out=limit * choices,
        counted_in=max(1, -(-text_bytes(prompt) // BYTES_PER_TOKEN)),
        document={**document, "max_tokens": limit},
    )


def _read_limit(document: Mapping[str, object]) -> int:
    """Return how many tokens a choice may have; where both names are given, the newer one says."""
    limits = []
    for name in ("max_completion_tokens", "max_tokens"):
        value = document.get(name)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= TOKENS_MAX:
            raise bad_request(f"{name} is a whole number from 1 to {TOKENS_MAX}", name)
        limits.append(value)
    return limits[0] if limits else TOKENS_UNLESS_TOLD


def _read_choices(document: Mapping[str, object]) -> int:
    choices = 1
    for name in ("n", "best_of"):
        value = document.get(name)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= CHOICES_MAX:
            raise bad_request(f"{name} is a whole number from 1 to {CHOICES_MAX}", name)
        choices = max(choices, value)
    prompts = document.get("prompt")
    if isinstance(prompts, list) and prompts and not isinstance(prompts[0], int):
        choices *= len(prompts)
    return choices


def text_bytes(value: object) -> int:
    """Return the bytes of all text in messages or a prompt; each number counts as one token."""
    total, left = 0, [value]
    while left:
        each = left.pop()
        match each:
            case str():
                total += len(each.encode(errors="surrogatepass"))
            case bool():
                continue
            case int():
                total += BYTES_PER_TOKEN
            case list():
                left.extend(each)
            case dict():
                left.extend(one for key, one in each.items() if key not in {"role", "type"})
    return total
