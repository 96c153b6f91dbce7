"""What the gateway answers when it cannot: faults in the shape that OpenAI's clients read."""

from collections.abc import Mapping

import orjson

from hutong.core.kernel.errors import HutongError, Later, Refused


class Fault(Exception):
    """An answer instead of the model's. `retry` tells clients whether another try makes sense."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
        retry_after_s: int = 0,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.kind = kind
        self.param = param
        self.retry_after_s = retry_after_s

    @property
    def body(self) -> bytes:
        """The answer's JSON."""
        return orjson.dumps({"error": self._document()})

    @property
    def event(self) -> bytes:
        """The fault as an event of a stream that had begun already."""
        return b"data: " + self.body + b"\n\n"

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers beside the content type. `x-should-retry` stops clients that would try again in vain."""
        if self.retry_after_s:
            return {"Retry-After": str(self.retry_after_s)}
        if self.status == 401:
            return {"WWW-Authenticate": "Bearer"}
        return {"x-should-retry": "false"} if self.status == 429 else {}

    def _document(self) -> dict[str, object]:
        return {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}


def bad_request(message: str, param: str | None = None, code: str = "invalid_value") -> Fault:
    """Return the answer to a request that names what is wrong with it."""
    return Fault(400, code, message, param=param)


def not_ready(name: str, retry_after_s: int = 2) -> Fault:
    """Return the answer while a model does not take requests yet, or just now."""
    message = f"the model {name} is not ready; try again in {retry_after_s} s"
    return Fault(503, "model_not_ready", message, kind="service_unavailable", retry_after_s=retry_after_s)


def broken_upstream(message: str) -> Fault:
    """Return the answer when the served process failed."""
    return Fault(502, "upstream_error", message, kind="api_error")


def fault_of(error: HutongError) -> Fault:
    """Return the answer to an error of ours."""
    match error:
        case Refused():
            return Fault(error.status, error.code, error.message)
        case Later():
            return Fault(
                503, "later", error.message, kind="service_unavailable", retry_after_s=max(1, error.after_s)
            )
    return Fault(500, "internal", "something went wrong on our side; it has been noted", kind="api_error")
