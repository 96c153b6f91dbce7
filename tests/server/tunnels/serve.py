"""A server of the standard library that speaks what Jupyter does: HTTP, chunks as they come, WebSockets."""

import base64
import hashlib
import http.server
import os
import struct
import time

MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def text(self, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        if self.headers.get("Upgrade", "").lower() == "websocket":
            self.socket()
        elif self.path == "/drip":
            self.drip()
        elif self.path == "/big":
            self.text(b"x" * (8 << 20))
        elif self.path == "/huge-header":
            self.text(b"", ("X-Huge", "x" * 200_000))
        elif self.path == "/broken":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")
            self.close_connection = True
        elif self.path == "/garbage":
            self.wfile.write(b"SSH-2.0-OpenSSH\r\n")
            self.close_connection = True
        else:
            said = f"{self.command} {self.path}\n{self.headers}".encode()
            self.text(said, ("Set-Cookie", "theme=dark; Domain=localhost"))

    def drip(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(1000):
            self.wfile.write(b"4\r\n%03d\n\r\n" % number)
            self.wfile.flush()
            time.sleep(0.05)

    def do_POST(self) -> None:
        size = self.headers.get("Content-Length")
        body = self.rfile.read(int(size)) if size else self.chunks()
        self.text(hashlib.sha256(body).hexdigest().encode() + b" %d" % len(body))

    def chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def socket(self) -> None:
        key = self.headers["Sec-WebSocket-Key"] + MAGIC
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()  # noqa: S324 - the protocol's
        self.send_header("Sec-WebSocket-Accept", accept)
        if "Sec-WebSocket-Protocol" in self.headers:
            self.send_header("Sec-WebSocket-Protocol", self.headers["Sec-WebSocket-Protocol"].split(",")[0])
        self.end_headers()
        self.close_connection = True
        while self.echo():
            continue

    def echo(self) -> bool:
        """Answer one message with itself; False at the end, which the text `leave` brings about."""
        head = self.rfile.read(2)
        if len(head) < 2:
            return False
        kind, size = head[0] & 15, head[1] & 127
        if size > 125:
            size = struct.unpack(
                *((">H", self.rfile.read(2)) if size == 126 else (">Q", self.rfile.read(8)))
            )[0]
        mask = self.rfile.read(4) * (size // 4 + 1)
        data = self.rfile.read(size)
        data = (int.from_bytes(data, "big") ^ int.from_bytes(mask[:size], "big")).to_bytes(size, "big")
        if data == b"leave":
            kind, data = 8, struct.pack(">H", 4001) + b"as asked"
        length = struct.pack(">B", len(data)) if len(data) < 126 else struct.pack(">BQ", 127, len(data))
        self.wfile.write(bytes([128 | kind]) + length + data)
        self.wfile.flush()
        return kind != 8

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 512


if __name__ == "__main__":
    Server(("127.0.0.1", int(os.environ["HUTONG_PORT"])), Handler).serve_forever()
