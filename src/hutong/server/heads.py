"""HTTP/1.1 as uvicorn has it with httptools, but stricter about what comes before and after a body."""

from httptools import HttpParserError
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

AT_MOST_BYTES = 64 << 10


class BoundedHeads(HttpToolsProtocol):
    """Answers 400 to a head, or trailers, of more than `AT_MOST_BYTES` behind the first that was read.

    httptools keeps them for as long as they grow, so that anybody could fill our memory; h11 has such a
    bound of its own. So it answers to several hosts in one request, or to none, as RFC 9112 (section 3.2)
    asks: whoever stands before us may take another of them for the one that counts.
    """

    _came = False
    _waiting_bytes = 0

    def on_headers_complete(self) -> None:
        """See `HttpToolsProtocol`."""
        self._came = True
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (hosts == 0 and self.parser.get_http_version() == "1.1"):
            raise HttpParserError(f"{hosts} hosts")
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """See `HttpToolsProtocol`."""
        self._came = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """See `HttpToolsProtocol`."""
        self._came = True
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """See `HttpToolsProtocol`."""
        self._came = False
        super().data_received(data)
        self._waiting_bytes = 0 if self._came else self._waiting_bytes + len(data)
        if self._waiting_bytes > AT_MOST_BYTES and not self.transport.is_closing():
            self.send_400_response(f"The head is larger than {AT_MOST_BYTES} bytes.")
