"""The row of a benchmark: one JSON line with its baseline beside it."""

import json


def told(
    name: str,
    value: float,
    unit: str,
    baseline: str = "",
    against: float | None = None,
    *,
    less: bool = False,
) -> None:
    """Print one row. With `less`, less is better, and the ratio is the other way round."""
    ratio = (against / value if less else value / against) if against and value else None
    row = {
        "name": name,
        "value": round(value, 2),
        "unit": unit,
        "baseline": baseline,
        "baseline_value": against,
        "ratio": None if ratio is None else round(ratio, 4),
    }
    print(json.dumps(row), flush=True)
