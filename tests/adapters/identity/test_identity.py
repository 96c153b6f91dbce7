"""What a user may rely on: passwords, tokens and secrets at rest."""

import stat
from pathlib import Path

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import VerifyMismatchError

from hutong.adapters.identity import passwords
from hutong.adapters.identity.passwords import Lockout, hash_password, make_password, verify_password
from hutong.adapters.identity.tokens import Principals, digest_secret, looks_like_secret, make_secret
from hutong.adapters.identity.vault import Vault
from hutong.core.accounts.roles import Principal
from hutong.core.kernel.errors import Broken, Later, Refused

ULID = "01JD0000000000000000000000"


def test_a_password_fits_only_its_own_hash_and_an_empty_hash_fits_nothing() -> None:
    hashed = hash_password("correct horse")
    assert hashed.startswith("$argon2id$")
    assert verify_password(hashed, "correct horse")
    assert not verify_password(hashed, "correct horsf")
    assert not verify_password("", "correct horse")
    assert not verify_password("not a hash", "correct horse")
    assert make_password() != make_password()


def test_an_unknown_person_costs_the_same_memory_and_passes_as_a_known_one() -> None:
    nobody = passwords._NOBODY
    assert extract_parameters(nobody) == extract_parameters(hash_password("x"))
    with pytest.raises(VerifyMismatchError):  # it was computed and compared, not refused unread
        PasswordHasher().verify(nobody, "x")


def test_ten_wrong_passwords_pause_a_name_for_five_minutes_and_others_not_at_all() -> None:
    lockout = Lockout()
    for _ in range(9):
        lockout.failed("eve", 1_000)
    lockout.check("eve", 1_001)
    lockout.failed("eve", 1_002)
    with pytest.raises(Later) as caught:
        lockout.check("eve", 2_002)
    assert caught.value.after_s == 299
    lockout.check("adam", 2_002)
    lockout.check("eve", 1_002 + 300_000)
    lockout.failed("eve", 1_002 + 300_001)
    lockout.check("eve", 1_002 + 300_002)


def test_the_lockout_is_bounded_and_a_success_clears_it() -> None:
    lockout = Lockout(failures=1, names=2)
    for name in ("a", "b", "c"):
        lockout.failed(name, 0)
    lockout.check("a", 1)
    with pytest.raises(Later):
        lockout.check("c", 1)
    lockout.passed("c")
    lockout.check("c", 1)


def test_secrets_of_tokens_have_one_form_and_differ_with_their_entropy() -> None:
    one = make_secret("key", ULID, bytes(31) + b"\x01")
    assert looks_like_secret(one)
    assert looks_like_secret(make_secret("site", ULID, b"\xff" * 32))
    assert one != make_secret("key", ULID, bytes(32))
    assert not looks_like_secret("sk-something")
    assert not looks_like_secret(one + "x")
    assert len(digest_secret(one)) == 64


def test_a_principal_is_remembered_for_a_moment_and_never_beyond_its_token() -> None:
    asked: list[str] = []
    answers: dict[str, tuple[Principal, int]] = {"d": (Principal("li"), 9_000)}

    def resolve(digest: str, _now_ms: int) -> tuple[Principal, int] | None:
        asked.append(digest)
        return answers.get(digest)

    memory = Principals(resolve, keep_ms=5_000, size=2)
    assert memory.find("d", 0) == Principal("li")
    assert memory.find("d", 4_999) == Principal("li")
    assert asked == ["d"]
    assert memory.find("d", 5_000) == Principal("li")
    assert memory.recall("d", 9_000) is None
    assert memory.find("d", 9_000) is None
    assert memory.find("unknown", 0) is None
    answers.clear()
    memory.forget()
    assert memory.find("d", 6_000) is None


def test_a_secret_opens_only_with_its_key_in_its_place_and_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "vault.key"
    vault = Vault.open(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    sealed = vault.seal("sesam 芝麻", "physics/HF_TOKEN")
    assert "sesam" not in sealed
    assert Vault.open(path).unseal(sealed, "physics/HF_TOKEN") == "sesam 芝麻"
    with pytest.raises(Broken):
        vault.unseal(sealed, "biology/HF_TOKEN")
    with pytest.raises(Broken):
        vault.unseal(sealed[:-6] + "AAAAA=", "physics/HF_TOKEN")
    with pytest.raises(Broken):
        Vault.open(tmp_path / "other.key").unseal(sealed, "physics/HF_TOKEN")
    assert vault.seal("a", "x") != vault.seal("a", "x")
    assert vault.derive("a") == Vault.open(path).derive("a") != vault.derive("b")


def test_a_key_file_that_others_may_read_or_that_is_damaged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vault.key"
    Vault.open(path)
    path.chmod(0o644)
    with pytest.raises(Refused, match="not private"):
        Vault.open(path)
    path.chmod(0o600)
    path.write_text("half a key")
    with pytest.raises(Refused, match="damaged"):
        Vault.open(path)
