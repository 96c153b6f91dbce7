"""Where the traces of benchmarks lie: given, or in `HUTONG_DATA`, or beside the checkout; none is committed."""

import os
import sys
from pathlib import Path


def find_traces(given: str | Path | None, *parts: str) -> Path:
    """Return a folder of traces, such as `carbon`; leave with what is missing."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(given or os.environ.get("HUTONG_DATA") or default).joinpath("traces", *parts)
    if not folder.is_dir():
        sys.exit(f"no folder {folder}; give --data DIR or set HUTONG_DATA, with the traces in DIR/traces")
    return folder
