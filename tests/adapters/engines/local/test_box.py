"""The box round a job: what it can see, write, reach and use up."""

import io
import os
import shutil
import socket
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.adapters.engines.local.conftest import Site

from hutong.adapters.engines.attempt import box, engine
from hutong.adapters.engines.attempt.config import Limits
from hutong.adapters.engines.local.engine import LocalEngine
from hutong.core.kernel.errors import Refused
from hutong.core.work.spec import JobType
from hutong.core.work.states import AttemptState, Category

MEET = """
import os, socket, time
port = int(os.environ["MASTER_PORT"])
if os.environ["NODE_RANK"] == "0":
    server = socket.create_server((os.environ["MASTER_ADDR"], port))
    peer, _ = server.accept()
    print("heard", peer.recv(10).decode())
else:
    deadline = time.monotonic() + 60
    while True:
        try:
            peer = socket.create_connection((os.environ["MASTER_ADDR"], port))
            break
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    peer.sendall(b"hello")
"""

REACH = (
    "python3 -c 'import socket,sys; socket.create_connection((\"127.0.0.1\", int(sys.argv[1])), 5)' {port}"
)


@pytest.fixture
def outside() -> Iterator[int]:
    """A service of this machine that a job must not reach."""
    server = socket.create_server(("127.0.0.1", 0))
    yield server.getsockname()[1]
    server.close()


def _python(text: str) -> str:
    return f"python3 - <<'END'\n{text}\nEND"


def test_ranks_of_a_gang_share_a_loopback(site: Site) -> None:
    order = site.order(_python(MEET), num_nodes=2)
    site.engine.submit(order)
    assert site.finish(order.key).state is AttemptState.SUCCEEDED, site.log(order.key)
    assert site.log(order.key, 0) == "heard hello\n"


def test_a_boxed_job_reaches_nothing_outside(boxed: Site, outside: int) -> None:
    seen, text = boxed.run(REACH.format(port=outside))
    assert seen.state is AttemptState.FAILED
    assert "refused" in text
    seen, text = boxed.run("ls /sys/class/net 2>/dev/null; cat /proc/net/dev")
    assert [line.split(":")[0].strip() for line in text.splitlines() if ":" in line] == ["lo"]


def test_no_variable_of_a_job_works_on_the_box_itself(boxed: Site, tmp_path: Path) -> None:
    """What the job calls bwrap, first in its PATH, is not started in place of the sandbox."""
    theirs = _bundle(tmp_path / "b", (_file("bwrap", 0o755), b"#!/bin/sh\n/usr/bin/touch escaped"))
    envs = (("PATH", "."), ("LD_PRELOAD", "./a.so"))
    run = "/usr/bin/id -u; echo $PATH $LD_PRELOAD; /usr/bin/ls"
    seen, text = boxed.run(run, envs=envs, staged=((".", "bundle", theirs),))
    assert not (boxed.work(seen.key) / "escaped").exists()
    assert "65534\n. ./a.so\n" in text


def test_a_job_that_asks_for_the_network_has_it(boxed: Site, outside: int) -> None:
    seen, text = boxed.run(REACH.format(port=outside), network=True)
    assert seen.state is AttemptState.SUCCEEDED, text


def test_a_service_is_reached_at_its_port(boxed: Site) -> None:
    run = "exec python3 -m http.server --bind $HUTONG_HOST $HUTONG_PORT"
    order = boxed.order(run, type=JobType.SERVICE, max_duration_s=0)
    boxed.engine.submit(order)
    boxed.until(lambda: (seen := boxed.see(order.key)) and seen.port)
    port = boxed.see(order.key).port

    def up() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), 5).close()
        except OSError:
            return False
        return True

    boxed.until(up)
    boxed.engine.stop(order.key, 1, Category.CANCELLED, "", 0)
    boxed.finish(order.key)


def test_a_declared_port_is_used_where_it_is_free(plain: Site) -> None:
    port = box.free_port()
    _, text = plain.run("echo $HUTONG_PORT", ports=(port,))
    assert text == f"{port}\n"
    with socket.create_server(("127.0.0.1", port)):
        _, text = plain.run("echo $HUTONG_PORT", ports=(port,))
    assert text != f"{port}\n"


def test_a_boxed_job_sees_its_own_files_only(boxed: Site, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("another's")
    first = boxed.order("echo mine > file; sleep 600")
    boxed.engine.submit(first)
    boxed.until((boxed.work(first.key) / "file").exists)
    seen, text = boxed.run(
        f"cat {secret}; ls {boxed.root}/attempts | xargs echo seen; cat {boxed.work(first.key)}/file;"
        "ls -A /home /root; cat /etc/shadow; cat ../order.json; id -u; echo x > /usr/x;"
        "echo $HOME; pwd; echo y > here && cat here"
    )
    assert seen.state is AttemptState.SUCCEEDED
    lines = text.splitlines()
    assert "another's" not in text
    assert "mine" not in lines
    assert f"seen {seen.key}" in lines
    assert lines[-3:] == [str(boxed.work(seen.key)), str(boxed.work(seen.key)), "y"]
    assert "65534" in lines
    assert not Path("/usr/x").exists()


def test_payloads_are_there_and_cannot_be_changed(boxed: Site) -> None:
    seen, text = boxed.run("bash $HUTONG_PAYLOADS/hello.sh; echo evil > $HUTONG_PAYLOADS/hello.sh")
    assert "payload\n" in text
    assert seen.state is AttemptState.FAILED
    assert (boxed.config.payloads / "hello.sh").read_text() == "echo payload\n"


def test_the_environment_has_every_name(site: Site) -> None:
    order = site.order(
        "env", num_nodes=2, envs=(("MINE", "1"), ("OMP_NUM_THREADS", "3"), ("HUTONG_KEY", "x"))
    )
    site.engine.submit(order)
    site.finish(order.key)
    env = dict(line.split("=", 1) for line in site.log(order.key, 1).splitlines() if "=" in line)
    wanted = {
        "HUTONG_JOB_ID": order.job,
        "HUTONG_ATTEMPT": "1",
        "HUTONG_KEY": order.key,
        "HUTONG_TASK_ID": order.job,
        "HUTONG_NODE_RANK": "1",
        "HUTONG_NUM_NODES": "2",
        "HUTONG_NUM_GPUS_PER_NODE": "2",
        "HUTONG_ACCELERATOR": "H800",
        "SKYPILOT_NODE_RANK": "1",
        "SKYPILOT_NUM_NODES": "2",
        "SKYPILOT_NUM_GPUS_PER_NODE": "2",
        "SKYPILOT_TASK_ID": order.job,
        "MASTER_ADDR": "127.0.0.1",
        "NODE_RANK": "1",
        "WORLD_SIZE": "2",
        "MINE": "1",
        "OMP_NUM_THREADS": "3",
    }
    assert {name: env.get(name) for name in wanted} == wanted
    assert env["MASTER_PORT"].isdigit()
    assert "127.0.0.1\n127.0.0.1" in site.log(order.key, 1)


def test_nothing_of_the_agents_environment_reaches_a_job(
    plain: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUTONG_TOKEN", "agent-token-1234")
    _, text = plain.run("env; tr '\\0' '\\n' < /proc/$PPID/environ")
    assert "agent-token" not in text
    assert "HUTONG_JOB_ID" in text


def test_limits_hold_in_every_process(site: Site) -> None:
    limited = site.another(limits=Limits(file_bytes=1 << 20, open_files=64, address_space_bytes=1 << 30))
    seen, text = limited.run("ulimit -n; ulimit -v; ulimit -c; head -c 2000000 /dev/zero > big")
    assert text.splitlines()[:3] == ["64", str(1 << 20), "0"]
    assert seen.state is AttemptState.FAILED
    assert (limited.work(seen.key) / "big").stat().st_size == 1 << 20


def test_a_log_has_an_end(plain: Site) -> None:
    short = plain.another(log_most_bytes=1_000)
    seen, text = short.run("head -c 100000 /dev/zero | tr '\\0' x; echo; echo late")
    assert seen.state is AttemptState.SUCCEEDED
    assert text == "x" * 1_000 + "\n[hutong] the log ends here: it reached 1000 bytes\n"


def test_secrets_are_nowhere_on_the_disk(site: Site) -> None:
    value = "correct-horse-battery"
    order = site.order(
        "echo $TOKEN; printf correct-horse; sleep 0.2; printf -- -battery; test ${#TOKEN} = 21",
        secrets={"TOKEN": value},
        setup="echo setup $TOKEN",
    )
    site.engine.submit(order)
    assert value not in _command_lines()
    assert site.finish(order.key).state is AttemptState.SUCCEEDED
    assert site.log(order.key) == "***\n***"
    assert site.log(order.key, -1) == "setup ***\n"
    found = subprocess.run(["grep", "-r", value, str(site.root)], capture_output=True, check=False)
    assert found.stdout == b""


def _command_lines() -> str:
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    mine = Path(f"/proc/{os.getpid()}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return "\n".join(line for line in lines if line != mine)


def test_a_machine_without_bubblewrap_says_so(
    plain: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    monkeypatch.setenv("PATH", str(tools))
    engine.why_no_box.cache_clear()
    try:
        with pytest.raises(Refused, match="not installed"):
            LocalEngine(replace(plain.config, isolation="bwrap"), lambda: 0)
        auto = plain.another(isolation="auto")
        assert auto.engine.abilities.isolation == "none"
        _, text = auto.run("echo hi")
    finally:
        engine.why_no_box.cache_clear()
    assert text.splitlines()[0].startswith("[hutong] no isolation on this machine")
    assert text.splitlines()[1] == "hi"


def test_a_configuration_that_shows_all_jobs_is_refused(plain: Site) -> None:
    with pytest.raises(Refused, match="every other job"):
        plain.another(readable=(plain.root.parent,))
    with pytest.raises(Refused, match="unknown"):
        plain.another(isolation="jail")


@pytest.mark.skipif(
    os.getuid() != 0 or not shutil.which("setpriv"), reason="needs root to become another user"
)
def test_an_ordinary_user_has_boxes_too(tmp_path: Path) -> None:
    script = tmp_path / "box.py"
    script.write_bytes(Path(box.__file__).read_bytes())
    for path in (tmp_path, *tmp_path.parents):
        if path != Path("/tmp") and path.is_relative_to("/tmp"):
            path.chmod(0o755)
    argv = [
        "setpriv",
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
        "/usr/bin/python3",
        "-I",
        "-S",
    ]
    done = subprocess.run([*argv, str(script)], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ('""', "")


def _bundle(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def _file(name: str, mode: int = 0o644) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.mode = mode
    return info


def _link(name: str, to: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    return info


def test_inputs_lie_where_they_were_asked_for(site: Site, tmp_path: Path) -> None:
    bundle = _bundle(
        tmp_path / "b", (_file("code/a.sh", 0o4755), b"echo from bundle\n"), (_link("l", "code/a.sh"), b"")
    )
    model = tmp_path / "set"
    (model / "deep").mkdir(parents=True)
    (model / "deep" / "w.bin").write_bytes(b"weights")
    staged = ((".", "bundle", bundle), ("models/m", "manifest", model))
    seen, text = site.run(
        "bash l; cat models/m/deep/w.bin; echo bad > models/m/deep/w.bin; true", staged=staged
    )
    assert seen.state is AttemptState.SUCCEEDED
    assert text.startswith("from bundle\nweights")
    assert (model / "deep" / "w.bin").read_bytes() == b"weights"
    assert not (site.work(seen.key) / "code/a.sh").stat().st_mode & 0o4000


@pytest.mark.parametrize("mount", ["../out", "/etc/out", "a/../../out"])
def test_a_mount_that_leaves_the_folder_is_refused(site: Site, tmp_path: Path, mount: str) -> None:
    bundle = _bundle(tmp_path / "b", (_file("x"), b"x"))
    seen, _ = site.run("echo ran", staged=((mount, "bundle", bundle),))
    assert seen.ended is not None
    assert (seen.ended.category, seen.ended.started_ms) == (Category.USER, 0)
    assert "leaves the work folder" in seen.ended.reason


@pytest.mark.parametrize(
    "members",
    [
        [(_file("../x"), b"x")],
        [(_file("/tmp/hutong-escape"), b"x")],
        [(_link("d", "/tmp"), b""), (_file("d/hutong-escape"), b"x")],
        [(_link("d", "../../.."), b"")],
        [(_link("h", "../../order.json", tarfile.LNKTYPE), b"")],
        [(_link("fifo", "", tarfile.FIFOTYPE), b"")],
    ],
    ids=["dots", "absolute", "through-link", "link", "hard-link", "fifo"],
)
def test_a_bundle_that_leaves_the_folder_is_refused(
    plain: Site, tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]]
) -> None:
    bundle = _bundle(tmp_path / "b", *members)
    seen, _ = plain.run("echo ran", staged=(("in", "bundle", bundle),))
    assert seen.ended is not None
    assert seen.ended.category is Category.USER
    assert "cannot be unpacked" in seen.ended.reason
    assert not Path("/tmp/hutong-escape").exists()


def test_a_bundle_that_is_none_or_too_big_is_refused(plain: Site, tmp_path: Path) -> None:
    (tmp_path / "junk").write_bytes(b"not a tar")
    seen, _ = plain.run("echo ran", staged=(("in", "bundle", tmp_path / "junk"),))
    assert seen.ended is not None
    assert "cannot be unpacked" in seen.ended.reason
    small = plain.another(limits=Limits(input_bytes=10))
    bundle = _bundle(tmp_path / "b", (_file("x"), b"x" * 11))
    seen, _ = small.run("echo ran", staged=(("in", "bundle", bundle),))
    assert seen.ended is not None
    assert "10 bytes" in seen.ended.reason


def test_outputs_are_found_and_cannot_lie_elsewhere(site: Site) -> None:
    seen, _ = site.run("echo kept > $HUTONG_OUTPUTS/file", outputs="kept")
    assert (site.engine.outputs(seen.key) / "file").read_text() == "kept\n"
    seen, _ = site.run("echo x > $HUTONG_OUTPUTS/file")
    assert site.engine.outputs(seen.key) is None
    seen, _ = site.run("rmdir kept; ln -s /etc kept", outputs="kept")
    assert seen.state is AttemptState.SUCCEEDED
    assert site.engine.outputs(seen.key) is None
    seen, _ = site.run("true", outputs="../kept")
    assert seen.ended is not None
    assert seen.ended.category is Category.USER


def test_a_shared_folder_is_seen_and_not_written(boxed: Site, tmp_path: Path) -> None:
    shared = tmp_path / "datasets" / "zh"
    shared.mkdir(parents=True)
    (shared / "a.txt").write_text("text")
    (tmp_path / "datasets" / "other").write_text("not his")
    (shared / "out").symlink_to(tmp_path / "datasets" / "other")
    seen, text = boxed.run(
        "cat data/a.txt; cat data/out; touch data/new; ls data/..; true", staged=(("data", "shared", shared),)
    )
    assert seen.ended.outcome is AttemptState.SUCCEEDED
    assert text.startswith("text")
    assert "not his" not in text
    assert "Read-only file system" in text
    assert sorted(path.name for path in shared.iterdir()) == ["a.txt", "out"]


def test_a_shared_folder_is_linked_where_there_is_no_box_and_outlives_the_job(
    plain: Site, tmp_path: Path
) -> None:
    shared = tmp_path / "datasets"
    shared.mkdir()
    (shared / "a.txt").write_text("text")
    seen, text = plain.run("cat data/zh/a.txt", staged=(("data/zh", "shared", shared),))
    assert (seen.ended.outcome, text) == (AttemptState.SUCCEEDED, "text")
    plain.engine.forget(seen.key)
    assert not plain.folder(seen.key).exists()
    assert (shared / "a.txt").read_text() == "text"


def test_a_shared_folder_replaces_nothing(site: Site, tmp_path: Path) -> None:
    shared = tmp_path / "datasets"
    shared.mkdir()
    bundle = tmp_path / "work.tar"
    with tarfile.open(bundle, "w") as tar:
        tar.addfile(tarfile.TarInfo("data/mine"))
    staged = ((".", "bundle", bundle), ("data", "shared", shared))
    seen, _ = site.run("true", staged=staged)
    assert (seen.ended.category, "has something" in seen.ended.reason) == (Category.USER, True)
