"""A disk that takes nothing, for real: the kernel refuses every write of this process to a file."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from structlog.testing import capture_logs


@contextmanager
def no_room() -> Iterator[None]:
    """Let no file of this process, or of one that it starts, grow beyond nothing.

    Logs are kept in memory meanwhile: here they would go to a file, too.
    """
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, most[1]))
    try:
        with capture_logs():
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)
        signal.signal(signal.SIGXFSZ, ignored)
