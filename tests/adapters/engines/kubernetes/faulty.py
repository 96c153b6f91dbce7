"""A proxy in front of the real API server that loses replies, cuts watches off and refuses, as it is told."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
from testbeds.certificates import write_certificate
from testbeds.kubernetes import KubernetesCluster

_SKIPPED = {"host", "connection", "content-length", "accept-encoding"}


class Faulty:
    """What to do to requests: each fault is used up by the first request whose method and path it fits.

    `lost`: it is done, but the reply never comes. `cut`: the watch ends at once, in the middle of nothing.
    A number refuses with that status.
    """

    def __init__(self, cluster: KubernetesCluster, root: Path) -> None:
        certificate, key = write_certificate(root)
        self.faults: list[tuple[str, str, str]] = []
        self.met: list[str] = []
        self.lock = threading.Lock()
        self.upstream = httpx2.Client(
            base_url=cluster.url,
            verify=ssl.create_default_context(cafile=str(cluster.certificate)),
            timeout=60,
            trust_env=False,
        )
        handler = type("Handler", (_Handler,), {"proxy": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.kubeconfig = root / "kubeconfig"
        kept = cluster.url, cluster.certificate
        cluster.url, cluster.certificate = f"https://127.0.0.1:{self.server.server_port}", certificate
        cluster.write_kubeconfig(self.kubeconfig, cluster.token)
        cluster.url, cluster.certificate = kept

    def fault_for(self, method: str, path: str) -> str:
        with self.lock:
            for fault in self.faults:
                if fault[0] == method and fault[1] in path:
                    self.faults.remove(fault)
                    self.met.append(fault[2])
                    return fault[2]
        return ""


class _Handler(BaseHTTPRequestHandler):
    proxy: Faulty

    def _forward(self) -> None:
        method, path = self.command, self.path
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else None
        fault = self.proxy.fault_for(method, path)
        if fault.isdigit():
            self._refuse(int(fault))
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _SKIPPED}
        with self.proxy.upstream.stream(method, path, content=body, headers=headers) as answer:
            if fault == "lost":
                answer.read()
                return
            self.send_response(answer.status_code)
            self.send_header("Content-Type", answer.headers.get("Content-Type", "application/json"))
            self.end_headers()
            self.wfile.flush()
            if fault == "cut":
                return
            for chunk in answer.iter_bytes():
                self.wfile.write(chunk)
                self.wfile.flush()

    def _refuse(self, status: int) -> None:
        text = b'{"kind":"Status","status":"Failure","message":"as told","code":%d}' % status
        self.send_response(status)
        self.send_header("Retry-After", "1")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self) -> None:
        try:
            self._forward()
        except (OSError, httpx2.HTTPError):  # either end has gone
            self.close_connection = True

    do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the names are the protocol's

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@contextmanager
def faulty(cluster: KubernetesCluster, root: Path) -> Iterator[Faulty]:
    """Run a proxy for a test."""
    root.mkdir()
    proxy = Faulty(cluster, root)
    thread = threading.Thread(target=proxy.server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield proxy
    finally:
        proxy.server.shutdown()
        thread.join()
        proxy.server.server_close()
        proxy.upstream.close()
