"""slurmdbd over a MariaDB of its own: the accounting of one or more Slurm testbeds."""

import secrets
import subprocess
from collections.abc import Mapping
from types import TracebackType

from testbeds.processes import SEARCH_PATH, Daemon, Household, listens, require, wait_until
from testbeds.slurm_files import HOST, host_address, munged_command, user_name, write_secret

PROGRAMS = {
    "slurmdbd": "slurmdbd",
    "sacctmgr": "slurm-client",
    "munged": "munge",
    "auth_jwt.so": "slurm-wlm-jwt-plugin",
    "accounting_storage_mysql.so": "slurm-wlm-mysql-plugin",
    "mariadbd": "mariadb-server",
    "mariadb-install-db": "mariadb-server",
}
_START_S = 90


class SlurmDatabase:
    """A context manager; clusters name it as their `database`. It must outlive them."""

    def __init__(self) -> None:
        require(PROGRAMS)
        host_address()  # before anything is made
        self._house = Household("slurmdb")
        self.folder = self._house.folder
        self.jwt_key = secrets.token_bytes(32)
        self._port = self._house.ports.take()
        self._socket = self.folder / "run" / "mariadb.socket"
        # A MariaDB that starts removes every temporary table in its folder for such, others' as well.
        places = [f"--datadir={self.folder}/data", f"--tmpdir={self.folder}/scratch"]
        self._options = ["--no-defaults", *places, f"--user={user_name()}"]
        self._write_files()

    def __enter__(self) -> "SlurmDatabase":
        try:
            self._launch()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def kill(self) -> None:
        """Crash slurmdbd (SIGKILL): clusters keep running and keep their records until it is back."""
        self._house.take("slurmdbd").kill()

    def start(self) -> None:
        """Start slurmdbd, again after `kill`, and wait until it listens."""
        daemon = self._spawn("slurmdbd", ["slurmdbd", "-D"])
        address = host_address()
        wait_until(
            lambda: listens(address, self._port), seconds=_START_S, what="slurmdbd listens", daemons=[daemon]
        )

    def stop(self) -> None:
        """Kill all daemons and remove the folder. A second call does nothing."""
        self._house.close()

    def cluster_settings(self) -> dict[str, str]:
        """Return the lines of slurm.conf that make a cluster use this database."""
        return {
            "AccountingStorageType": "accounting_storage/slurmdbd",
            "AccountingStorageHost": host_address(),
            "AccountingStoragePort": str(self._port),
            "AccountingStoragePass": f"{self.folder}/run/munge.socket",
            "JobCompType": "jobcomp/none",
        }

    def add_cluster(self, name: str, env: Mapping[str, str]) -> None:
        """Enter a cluster, before its slurmctld starts; it may be there from an earlier run."""
        command = ["sacctmgr", "-i", "add", "cluster", name]
        done = subprocess.run(command, env=dict(env), capture_output=True, text=True, check=False)
        if done.returncode and "already exist" not in done.stdout + done.stderr:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr or done.stdout}")

    def sql(self, statements: str) -> str:
        """Run SQL as MariaDB's root and return what it printed."""
        command = ["mariadb", "--no-defaults", f"--socket={self._socket}", "-uroot", "-e", statements]
        done = subprocess.run(command, env=self._env(), capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"MariaDB: {done.stderr}")
        return done.stdout

    def _launch(self) -> None:
        run = self.folder / "run"
        self._spawn(
            "munged", munged_command(run, self.folder / "munge.key", self.folder / "log" / "munged.log")
        )
        make = [
            "mariadb-install-db",
            *self._options,
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ]
        done = subprocess.run(make, env=self._env(), capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"mariadb-install-db: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        small = ["--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M", "--performance-schema=OFF"]
        fast = ["--innodb-flush-log-at-trx-commit=0", "--innodb-lock-wait-timeout=900", "--skip-log-bin"]
        utf8 = "--character-set-server=utf8mb4"  # as in Debian's own settings; names may be Chinese
        places = ["--skip-networking", f"--socket={self._socket}", f"--pid-file={run}/mariadb.pid"]
        daemon = self._spawn("mariadbd", ["mariadbd", *self._options, *places, *small, *fast, utf8])
        wait_until(self._socket.exists, seconds=_START_S, what="MariaDB's socket", daemons=[daemon])
        self.sql("CREATE DATABASE slurm; CREATE USER slurm@localhost IDENTIFIED BY 'slurm'")
        self.sql("GRANT ALL ON slurm.* TO slurm@localhost")
        wait_until(
            (run / "munge.socket").exists,
            seconds=_START_S,
            what="munged's socket",
            daemons=self._house.daemons,
        )
        self.start()

    def _write_files(self) -> None:
        (self.folder / "run").mkdir()
        (self.folder / "scratch").mkdir()
        write_secret(self.folder / "munge.key", secrets.token_bytes(128))
        write_secret(self.folder / "jwt.key", self.jwt_key)
        settings = {
            "DbdHost": HOST,
            "DbdAddr": host_address(),
            "DbdPort": str(self._port),
            "SlurmUser": user_name(),
            "AuthType": "auth/munge",
            "AuthInfo": f"socket={self.folder}/run/munge.socket",
            "AuthAltTypes": "auth/jwt",
            "AuthAltParameters": f"jwt_key={self.folder}/jwt.key",
            "CommunicationParameters": "NoInAddrAny,NoCtldInAddrAny",
            "PidFile": f"{self.folder}/run/slurmdbd.pid",
            "LogFile": f"{self.folder}/log/slurmdbd.log",
            "StorageType": "accounting_storage/mysql",
            "StorageHost": "localhost",
            "StorageUser": "slurm",
            "StoragePass": "slurm",
            "StorageLoc": "slurm",
            "CommitDelay": "1",
        }
        text = "".join(f"{key}={value}\n" for key, value in settings.items())
        write_secret(self.folder / "slurmdbd.conf", text.encode())

    def _env(self) -> dict[str, str]:
        # slurmdbd reads the slurmdbd.conf beside SLURM_CONF; MariaDB's library finds its socket by the other.
        return {
            "SLURM_CONF": f"{self.folder}/slurm.conf",
            "PATH": SEARCH_PATH,
            "MYSQL_UNIX_PORT": str(self._socket),
        }

    def _spawn(self, name: str, command: list[str]) -> Daemon:
        return self._house.spawn(name, command, self._env())
