"""Every text exists in both languages, is used, and speaks of the same values."""

import re
from pathlib import Path

import pytest

from hutong.clients.portal import words
from hutong.clients.portal.words import FAMILIES, LANGUAGES, Words, catalogue, choose
from hutong.core.placement.decide import NEVER
from hutong.core.placement.judge import PARTS
from hutong.core.work import facts
from hutong.core.work.states import AttemptState, Category

_HOME = Path(words.__file__).parent
_SOURCES = [*_HOME.glob("templates/*.html"), *_HOME.rglob("*.py")]
_KEY = re.compile(r"""(?:\bt|words)\(\s*["']([a-z_]+\.[^"']+)["']""")
_FAMILY = re.compile(r"""\.of\(\s*["']([a-z_]+\.)["']""")


def test_both_catalogues_have_the_same_keys_and_the_same_places() -> None:
    zh, en = catalogue("zh"), catalogue("en")
    assert zh.keys() == en.keys()
    for key, text in zh.items():
        places = sorted(re.findall(r"{\w+}", text))
        assert places == sorted(re.findall(r"{\w+}", en[key])), key
        assert text.strip() or key == "list.colon", key


def test_every_key_that_is_used_exists_and_every_key_is_used() -> None:
    used = {key for path in _SOURCES for key in _KEY.findall(path.read_text(encoding="utf-8"))}
    made = {f"{prefix}{name}" for prefix, names in FAMILIES.items() for name in names}
    assert used | made == set(catalogue("zh"))


def test_every_family_that_is_used_is_declared() -> None:
    used = {prefix for path in _SOURCES for prefix in _FAMILY.findall(path.read_text(encoding="utf-8"))}
    assert used == set(FAMILIES)


def test_families_cover_all_that_the_core_can_say() -> None:
    assert set(FAMILIES["attempt."]) == {state.value for state in AttemptState}
    assert set(FAMILIES["category."]) | {"none"} == {category.value for category in Category}
    assert set(FAMILIES["part."]) == set(PARTS)
    assert set(FAMILIES["why."]) >= NEVER | {"busy", "maintenance", "unreachable", "draining"}
    kinds = {each.kind for each in vars(facts).values() if isinstance(getattr(each, "kind", None), str)}
    assert set(FAMILIES["fact."]) == kinds


@pytest.mark.parametrize(
    ("cookie", "accept", "language"),
    [
        ("", "", "zh"),
        ("en", "zh-CN", "en"),
        ("xx", "en-US,en;q=0.9", "en"),
        ("", "fr-FR, en;q=0.5, zh;q=0.4", "en"),
        ("", "en;q=0, fr", "zh"),
        ("", "de", "zh"),
        ("", ";;;q=,=,\x7f" * 100, "zh"),
    ],
)
def test_the_language_is_the_visitors_wish_else_the_browsers_else_chinese(
    cookie: str, accept: str, language: str
) -> None:
    assert choose(cookie, accept) == language


def test_a_value_newer_than_the_portal_is_shown_as_it_is() -> None:
    for language in LANGUAGES:
        assert Words(language).of("state.", "TELEPORTED") == "TELEPORTED"
