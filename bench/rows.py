"""The row of a benchmark: one JSON line with its baseline beside it."""

import json


def told(name: str, value: float, unit: str, baseline: str = "", against: float | None = None) -> None:
    """Print one row."""
    row = {
        "name": name,
        "value": round(value, 2),
        "unit": unit,
        "baseline": baseline,
        "baseline_value": against,
        "ratio": round(value / against, 4) if against else None,
    }
    print(json.dumps(row), flush=True)
