"""Commands that reach into a running job: its pages, a command beside a rank, a port on this machine."""

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import struct
import sys
import termios
import threading
import tty
import webbrowser
from collections.abc import Iterator
from typing import Annotated

import typer

from hutong.clients.cli.session import JobArgument, Json, connect, find_job
from hutong.clients.cli.terminal import say, show_json, warn
from hutong.clients.sdk import lines
from hutong.clients.sdk.lines import Command, Line, open_line
from hutong.clients.sdk.profile import load_profile
from hutong.core.kernel.errors import HutongError, Problem, Refused

LOST = 255
_STDIN, _STDOUT, _STDERR = 0, 1, 2
RankOption = Annotated[int, typer.Option("--rank", "-r", min=0, help="Beside which rank.")]


def open_pages(
    job: JobArgument,
    path: Annotated[str, typer.Option("--path", help="Where to go there, such as /lab.")] = "/",
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser too.")] = True,
    as_json: Json = False,
) -> None:
    """Give the link to a running job's own pages: it works once, within a minute, for you.

    Example: hutong open last --path /lab
    """
    with connect() as client:
        found = client.jobs.open(find_job(client, job), path=path)
    if not found.url:
        hint = "write `ports: 8888`, or `type: notebook`, and listen on $HUTONG_HOST:$HUTONG_PORT"
        raise Refused("no_port", "this job has no pages", (Problem("/ports", "the job has no port", hint),))
    if as_json:
        show_json(found)
        return
    say(found.url)
    if browser and sys.stdout.isatty():
        webbrowser.open(found.url)


def exec_command(
    job: JobArgument,
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="What to run.")],
    rank: RankOption = 0,
    terminal: Annotated[
        bool | None, typer.Option("--tty/--no-tty", help="With a terminal; else if this is one.")
    ] = None,
) -> None:
    """Run a command beside a rank of a running job: its node, box, folder and environment.

    Ends with the command's exit code, or 255 where the line broke. What it started ends with it.

    Example: hutong exec last -- bash
    """
    wanted = sys.stdin.isatty() and sys.stdout.isatty() if terminal is None else terminal
    with connect() as client:
        name = find_job(client, job)
        gateway = client.jobs.open(name).gateway
    asked = Command(command, (*_size(), os.environ.get("TERM", "xterm")) if wanted else None)
    with _raw(wanted and sys.stdin.isatty()):
        code = asyncio.run(_converse(gateway, name, rank, asked))
    if code is None:
        warn("the line to the job broke")
    raise typer.Exit(LOST if code is None else code)


def forward(
    job: JobArgument,
    port: Annotated[int, typer.Argument(min=1, max=65_535, help="The port on the job's first node.")],
    listen: Annotated[
        int | None, typer.Option("--listen", "-l", min=0, max=65_535, help="Here; else the same one.")
    ] = None,
) -> None:
    """Make a port of a running job a port of this machine, until Ctrl-C.

    Example: hutong forward last 6006
    """
    with connect() as client:
        name = find_job(client, job)
        gateway = client.jobs.open(name).gateway
    asyncio.run(_forward(gateway, name, port, port if listen is None else listen))


async def _converse(gateway: str, job: str, rank: int, command: Command) -> int | None:
    """Run the command to its end; None where its end was not heard."""
    loop = asyncio.get_running_loop()
    async with open_line(gateway, load_profile().token, job, rank=rank) as line:
        await line.begin(command)
        if command.terminal:
            resized: set[asyncio.Task[None]] = set()

            def resize() -> None:
                rows, columns = _size()
                size = json.dumps({"rows": rows, "columns": columns}).encode()
                task = loop.create_task(line.tell(lines.SIZE, size))
                resized.add(task)
                task.add_done_callback(resized.discard)

            loop.add_signal_handler(signal.SIGWINCH, resize)
        threading.Thread(target=_feed, args=(loop, line), daemon=True).start()
        async for kind, payload in line.frames():
            if kind == lines.EXIT:
                return int(json.loads(payload)["code"])
            if kind in {lines.OUTPUT, lines.ERRORS}:
                _write(_STDOUT if kind == lines.OUTPUT else _STDERR, payload)
    return None


def _feed(loop: asyncio.AbstractEventLoop, line: Line) -> None:
    """Send what is typed or piped in; a thread, since not every standard input can be waited for."""
    with contextlib.suppress(HutongError, RuntimeError, asyncio.CancelledError):
        while chunk := os.read(_STDIN, lines.CHUNK_BYTES):
            asyncio.run_coroutine_threadsafe(line.tell(lines.INPUT, chunk), loop).result()
        asyncio.run_coroutine_threadsafe(line.tell(lines.END), loop).result()


def _write(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _size() -> tuple[int, int]:
    try:
        rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(_STDOUT, termios.TIOCGWINSZ, bytes(8)))
    except OSError:
        return 24, 80
    return rows or 24, columns or 80


@contextlib.contextmanager
def _raw(wanted: bool) -> Iterator[None]:
    """Hand every key to the far terminal, and give this one back as it was."""
    if not wanted:
        yield
        return
    before = termios.tcgetattr(_STDIN)
    try:
        tty.setraw(_STDIN)
        yield
    finally:
        termios.tcsetattr(_STDIN, termios.TCSADRAIN, before)


async def _forward(gateway: str, job: str, port: int, here: int) -> None:
    token = load_profile().token

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with open_line(gateway, token, job, port=port) as line:
                await lines.forward(line, reader, writer)
        except (HutongError, OSError) as error:
            warn(f"a connection ended: {error}")
        finally:
            writer.close()

    try:
        server = await asyncio.start_server(serve, "127.0.0.1", here)
    except OSError as error:
        problem = Problem("", str(error), "choose another with --listen PORT, 0 for any")
        raise Refused("port_taken", f"port {here} of this machine cannot be used", (problem,)) from error
    say(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]} is port {port} of job {job}; Ctrl-C ends it")
    async with server:
        await server.serve_forever()


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    panel = "Jobs"
    app.command("open", rich_help_panel=panel)(open_pages)
    app.command("exec", rich_help_panel=panel)(exec_command)
    app.command("forward", rich_help_panel=panel)(forward)
