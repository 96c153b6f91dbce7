"""Judges a FOCUS 1.2 export with the FinOps Foundation's own validator, in a virtual environment of its own.

Usage: python scripts/validate_focus.py FILE.csv | --mend. Exit code 1 where a rule fails that is not known to
be wrong. The validator itself exits with 0 whatever it finds, so its output is read.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

VENV = Path(__file__).resolve().parents[1] / ".venv-focus"
CRITERIA = (
    "ACCOUNT_NAMING_SUPPORTED", "BILLING_BASED_ON_PROVISIONED_RESOURCES_SUPPORTED",
    "NEGOTIATED_PRICING_SUPPORTED", "PRICING_BILLING_CURRENCY_DIFFERENCES_SUPPORTED",
    "PUBLIC_PRICE_LIST_SUPPORTED", "REGION_SUPPORTED", "RESOURCE_TYPE_ASSIGNMENT_SUPPORTED",
    "SUB_ACCOUNT_SUPPORTED", "UNIT_PRICING_SUPPORTED", "USAGE_MEASUREMENT_SUPPORTED",
)  # fmt: skip

# Two rules of its model 1.2.0.1 are wrong, and so those that contain them. InvoiceId-C-004 and -005 ask for
# null and for not null at once; ConsumedQuantity-C-006 leaves out its condition, and asks it of credits too.
WRONG = re.compile(r"^(InvoiceId-C-00[0345]-[MC]|ConsumedQuantity-C-00[03456]-[MC])$")

_FAILED = re.compile(r"^\S+ (\S+): FAIL\b(.*)$", re.MULTILINE)
_TOTAL = re.compile(r"^Total: (\d+) \| Pass: (\d+) \| Fail: (\d+) \| Skipped: (\d+)", re.MULTILINE)
_NEWER_LINE = """+ ", ".join(f"'{k.replace('\\"', '\\"\\"')}'" for k in ignore_keys)"""
_SAME_LINE = """+ ", ".join("'" + k.replace('"', '""') + "'" for k in ignore_keys)"""


def _packages() -> Path:
    return next(VENV.glob("lib/python3.*/site-packages"))


def mend() -> None:
    """Rewrite the one line of the validator that only Python 3.12 can read."""
    path = _packages() / "focus_validator" / "config_objects" / "focus_to_duckdb_converter.py"
    text = path.read_text(encoding="utf-8")
    if _SAME_LINE in text:
        return
    if text.count(_NEWER_LINE) != 1:
        raise SystemExit(f"{path} is not the file that this script knows how to mend")
    path.write_text(text.replace(_NEWER_LINE, _SAME_LINE), encoding="utf-8")


def validate(file: Path) -> tuple[str, list[str]]:
    """Return the validator's line of totals, and what failed beside the rules that are known to be wrong."""
    command = [
        str(VENV / "bin" / "focus-validator"), "--validate-version", "1.2", "--block-download",
        "--focus-dataset", "CostAndUsage", "--data-file", str(file.resolve()),
        "--applicability-criteria", ",".join(CRITERIA),
    ]  # fmt: skip
    # It looks for its table of currencies beside where it is run.
    done = subprocess.run(command, cwd=_packages(), capture_output=True, text=True, check=False)
    total = _TOTAL.search(done.stdout)
    if done.returncode or total is None:
        raise SystemExit(f"the validator did not run: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    failed = _FAILED.findall(done.stdout)
    if len(failed) != int(total[3]):
        raise SystemExit(f"{total[3]} rules failed, but the validator names {len(failed)}")
    return total[0], [f"{rule}{why}" for rule, why in failed if not WRONG.match(rule)]


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--mend", action="store_true", help="mend the validator after it was installed")
    asked = parser.parse_args()
    if asked.mend:
        mend()
    if asked.file:
        total, failed = validate(asked.file)
        print(total)
        for line in failed:
            print(line)
        return 1 if failed else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
