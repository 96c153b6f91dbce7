"""The box round each rank: bubblewrap's view of the files, a network of its own, resource limits.

Standard library only, and little of it: each job's supervisor pays for what is imported here.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Iterable, Mapping
    from typing import Any

    StrPath = str | os.PathLike[str]
else:
    import _signal as signal  # without the enums of `signal`

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1
_NOBODY = "65534"

_SYSTEM = (
    "/etc/alternatives",
    "/etc/group",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/ssl",
)
_NETWORK = ("/etc/resolv.conf", "/etc/gai.conf", "/etc/services", "/etc/protocols")


class View:
    """What a boxed process sees: `work` and `kept` to write, `readable` and `mounts` (from, at) to read.

    `alone`: the box has a network of its own, which reaches nothing.
    """

    def __init__(
        self,
        work: StrPath,
        hosts: StrPath,
        *,
        readable: Iterable[str] = (),
        devices: Iterable[str] = (),
        mounts: Iterable[tuple[str, str]] = (),
        kept: Iterable[str] = (),
        network: bool = False,
        alone: bool = False,
    ) -> None:
        self.work = os.fspath(work)
        self.hosts = os.fspath(hosts)
        self.readable = tuple(readable)
        self.devices = tuple(devices)
        self.mounts = tuple(mounts)
        self.kept = tuple(kept)
        self.network = network
        self.alone = alone


def view_of(
    order: Mapping[str, Any], folder: StrPath, mounts: Iterable[tuple[str, str]] = (), *, alone: bool
) -> View:
    """Return what the processes of an attempt see."""
    config = order["config"]
    return View(
        os.path.join(folder, "work"),
        os.path.join(folder, "hosts"),
        readable=config["readable"],
        devices=config["devices"],
        mounts=mounts,
        kept=(order["checkpoints"],),
        network=order["spec"]["network"],
        alone=alone,
    )


def boxed(view: View, command: Iterable[str], *, session: bool = True) -> list[str]:
    """Return the command line that runs `command` in a box, in a session of its own unless it has one.

    It is started by way of `sealed`. The network is that of the caller unless `alone`: `leave_network` comes
    first where boxes share one that reaches nothing.
    """
    argv = ["bwrap", "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts"]
    argv += ["--unshare-cgroup-try", "--die-with-parent", "--cap-drop", "ALL"]
    argv += ["--new-session"] if session else []
    argv += ["--unshare-net"] if view.alone else []
    argv += ["--hostname", "job", "--uid", _NOBODY, "--gid", _NOBODY]
    argv += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--ro-bind", "/usr", "/usr"]  # noqa: S108
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        path = f"/{name}"
        if os.path.islink(path):
            argv += ["--symlink", os.readlink(path), path]
        elif os.path.exists(path):
            argv += ["--ro-bind", path, path]
    for each in (*_SYSTEM, *(_NETWORK if view.network else ())):
        argv += ["--ro-bind-try", each, each]
    argv += ["--ro-bind", view.hosts, "/etc/hosts"]
    for each in view.readable:
        argv += ["--ro-bind-try", each, each]
    for each in view.devices:
        argv += ["--dev-bind-try", each, each]
    for each in (view.work, *view.kept):
        argv += ["--bind", each, each]
    for source, at in view.mounts:
        argv += ["--ro-bind", source, at]
    return [*argv, "--chdir", view.work, "--", *command]


def sealed(argv: Iterable[str], env: Mapping[str, str]) -> tuple[list[str], dict[str, str], int]:
    """Return how to start a box whose inside has the environment `env`: argv, environment, file to pass on.

    What a job sets (PATH, LD_PRELOAD) must not work on bwrap itself, which runs outside of the box, and
    secrets never stand on a command line: so variables go to bwrap in a file of memory. Close it afterwards.
    """
    told = b"".join(b"--setenv\0%s\0%s\0" % (os.fsencode(name), os.fsencode(env[name])) for name in env)
    handle = os.memfd_create("box")
    os.write(handle, told)
    os.lseek(handle, 0, os.SEEK_SET)
    bare = {"PATH": os.defpath, "LANG": "C.UTF-8", "HUTONG_KEY": env.get("HUTONG_KEY", "")}
    program, *rest = argv
    return [_which(program) or program, "--args", str(handle), *rest], bare, handle


def _which(program: str) -> str:
    """Return the path of a program, nothing if there is none; `shutil` would cost each job its import."""
    places = (os.path.join(place, program) for place in os.get_exec_path())
    return next((path for path in places if os.access(path, os.X_OK) and os.path.isfile(path)), "")


def hearing_term(argv: Iterable[str]) -> list[str]:
    """Return a command that heeds TERM again inside of a box whose own processes ignore it."""
    return ["/usr/bin/env", "--default-signal=TERM", *argv]


def write_hosts(path: StrPath, network: bool) -> None:
    """Write the hosts file of a box: every rank of a gang is this host."""
    rest = _text("/etc/hosts") if network and os.path.exists("/etc/hosts") else ""
    # The mapped form is what a dual-stack socket sees as its peer; without a name, torch warns each time.
    put(path, f"127.0.0.1 localhost job\n::1 localhost\n::ffff:127.0.0.1 loopback\n{rest}")


def put(path: StrPath, text: str) -> None:
    """Write a small file, one that a crash may leave half written."""
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def leave_network() -> None:
    """Move this process into a network of its own that has a loopback and nothing else.

    As root a network namespace is enough; an ordinary user needs a user namespace round it. Raises
    OSError where the kernel does not allow either. Call it before there are threads.
    """
    import ctypes
    import fcntl
    import socket
    import struct

    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(_CLONE_NEWNET) != 0:
        if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
            code = ctypes.get_errno()
            raise OSError(code, f"no network namespace: {os.strerror(code)}")
        put("/proc/self/setgroups", "deny")
        put("/proc/self/uid_map", f"{uid} {uid} 1")
        put("/proc/self/gid_map", f"{gid} {gid} 1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        name = b"lo".ljust(16, b"\0")
        answer = fcntl.ioctl(probe, _SIOCGIFFLAGS, struct.pack("16sH14x", name, 0))
        flags = struct.unpack("16sH14x", answer)[1] | _IFF_UP
        fcntl.ioctl(probe, _SIOCSIFFLAGS, struct.pack("16sH14x", name, flags))


def why_not() -> str:
    """Return why no box can be made here, or nothing. It moves this process: run it in one to spare."""
    if not _which("bwrap"):
        return "bubblewrap (bwrap) is not installed"
    try:
        leave_network()
    except OSError as error:
        return str(error)
    import subprocess

    view = View("/usr", "/dev/null")
    try:
        done = subprocess.run(boxed(view, ["true"]), capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bwrap cannot run: {error}"
    return "" if done.returncode == 0 else (done.stderr.strip() or f"bwrap exits with {done.returncode}")


def set_limits(limits: Mapping[str, int]) -> None:
    """Bind the calling process, and all that it starts, to these limits; 0 means no limit of ours.

    `address_space_bytes`, `file_bytes`, `open_files`, `processes`. The kernel does not count the
    processes of uid 0. A hard limit that is lower already stays.
    """
    import resource

    names = {
        "address_space_bytes": resource.RLIMIT_AS,
        "file_bytes": resource.RLIMIT_FSIZE,
        "open_files": resource.RLIMIT_NOFILE,
        "processes": resource.RLIMIT_NPROC,
    }
    for name, which in names.items():
        wanted = limits.get(name, 0)
        if wanted > 0:
            hard = resource.getrlimit(which)[1]
            bound = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(which, (bound, bound))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def settle(limits: Mapping[str, int], *, deaf: bool) -> None:
    """Bound this process, a rank to be, and have the kernel kill it before its supervisor.

    A box that died of the TERM which everybody gets would take its rank along before that could heed it.
    """
    if deaf:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    set_limits(limits)
    put("/proc/self/oom_score_adj", "500")


def free_port(wished: Iterable[int] = ()) -> int:
    """Return a TCP port that nobody listens on now: the first free one of `wished`, else any."""
    import _socket  # `socket` brings enums and selectors along

    for port in (*wished, 0):
        probe = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
        try:
            probe.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            chosen: int = probe.getsockname()[1]
        except OSError:
            continue
        else:
            return chosen
        finally:
            probe.close()
    raise OSError("no free port on the loopback interface")


def main() -> None:
    """Print as JSON why no box can be made here; an empty text says that one can."""
    import json

    os.write(1, json.dumps(why_not()).encode())


if __name__ == "__main__":
    main()
