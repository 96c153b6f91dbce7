"""Texts in Chinese and English: catalogues, the language to speak, and families of keys made at run time."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import get_args

from hutong.wire.jobs import State

LANGUAGES: Mapping[str, str] = {"zh": "zh-Hans", "en": "en"}
DEFAULT = "zh"
_FOLDER = Path(__file__).parent / "locales"

FACTS = (
    "submitted", "queued", "waiting", "hold_asked", "released", "cancel_asked", "placed", "stop_sent",
    "dispatched", "accepted", "starting", "started", "ended", "metered", "collected", "finished",
)  # fmt: skip
PARTS = (
    "fit", "price", "wait", "distance", "green", "speed", "carbon", "reliability", "energy", "fragmentation",
)  # fmt: skip
STEPS = ("submitted", "queued", "placed", "at_site", "running", "finished")
CATEGORIES = (
    "user", "oom", "cancelled", "infra", "preempted", "lost", "no_capacity", "funds",
)  # fmt: skip
WHY_NOT = (
    "other_chip", "unable", "node_too_small", "too_few_nodes", "memory", "cpus", "not_allowed", "too_dear",
    "draining", "no_data", "unreachable", "maintenance", "quota", "busy", "scattered", "kept", "booked",
    "power",
)  # fmt: skip
WAITING = (*WHY_NOT, "no_site", "no_funds", "budget", "debt", "retry", "greener", "room", "array", "never")

# Keys that templates build from a value: the prefix, and every value that has a text of its own.
FAMILIES: Mapping[str, tuple[str, ...]] = {
    "state.": get_args(State),
    "attempt.": (
        "PLANNED", "SUBMITTING", "PENDING", "STARTING", "RUNNING", "SUCCEEDED", "FAILED", "PREEMPTED",
        "CANCELLED", "WITHDRAWN", "LOST",
    ),
    "fact.": FACTS,
    "step.": STEPS,
    "category.": CATEGORIES,
    "why.": WHY_NOT,
    "waiting.": WAITING,
    "part.": PARTS,
    "lacks.": ("gangs", "services", "isolation"),
    "lot.": ("award", "voucher", "topup", "overrun", "waived", "refunded"),
    "unit.": ("card-hour", "unused card-hour", "GB-day", "request", "1000 tokens in", "1000 tokens out"),
    "admission.": ("active", "drain", "inactive"),
    "deployment.": ("STARTING", "READY", "STOPPING", "STOPPED", "FAILED"),
    "type.": ("task", "service", "notebook"),
    "error.": ("400", "403", "404", "409", "413", "422", "500", "503"),
}  # fmt: skip


@cache
def catalogue(language: str) -> Mapping[str, str]:
    """Return every text of one language by its key."""
    texts: dict[str, str] = json.loads((_FOLDER / f"{language}.json").read_text(encoding="utf-8"))
    return texts


def choose(cookie: str, accept: str) -> str:
    """Return the language to speak: what the visitor chose, else what the browser asks for, else Chinese.

    >>> choose("", "fr, en-GB;q=0.8, zh-CN;q=0.5")
    'en'
    """
    if cookie in LANGUAGES:
        return cookie
    wishes = []
    for order, part in enumerate(accept[:200].split(",")):
        tag, _, weight = part.strip().partition(";q=")
        language = tag.strip().lower().partition("-")[0]
        if language in LANGUAGES:
            wishes.append((-_weight(weight), order, language))
    return min(wishes)[2] if wishes and min(wishes)[0] < 0 else DEFAULT


def _weight(text: str) -> float:
    try:
        return float(text) if text else 1.0
    except ValueError:
        return 0.0


class Words:
    """Texts of one language: `words("jobs.title")`, with values for the places in braces."""

    def __init__(self, language: str) -> None:
        self.language = language
        self.tag = LANGUAGES[language]
        self._texts = catalogue(language)

    def __call__(self, key: str, /, **values: object) -> str:
        """Return a text; raises KeyError for a key that does not exist."""
        text = self._texts[key]
        return text.format_map(_Values(values)) if values else text

    def of(self, prefix: str, name: object, default: str = "", /, **values: object) -> str:
        """Return the text of a family's member; a value that is newer than this portal is shown as it is."""
        if f"{prefix}{name}" in self._texts:
            return self(f"{prefix}{name}", **values)
        return default or str(name)


class _Values(dict[str, object]):
    def __missing__(self, key: str) -> str:
        return ""
