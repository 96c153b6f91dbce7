"""Identifiers of institutions: China's unified social credit code (USCC) and ROR, with their check digits."""

USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
ROR_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_USCC_LENGTH = 18
_ROR_PREFIX = "https://ror.org/"


def uscc_fault(code: str) -> str:
    """Return what is wrong with a USCC, or an empty string.

    Source: GB 32100-2015: 17 characters and a check character, weights 3^i mod 31.
    """
    if len(code) != _USCC_LENGTH:
        return f"it has {len(code)} characters, not {_USCC_LENGTH}"
    for place, letter in enumerate(code, 1):
        if letter not in USCC_ALPHABET:
            return f"character {place}, {letter!r}, is a digit or letter that no credit code has"
    if not code[2:8].isdigit():
        return f"characters 3 to 8, {code[2:8]!r}, are not a district's digits"
    total = sum(USCC_ALPHABET.index(letter) * pow(3, place, 31) for place, letter in enumerate(code[:-1]))
    wanted = USCC_ALPHABET[-total % 31]
    return (
        "" if code[-1] == wanted else f"its check character is {code[-1]!r} and would have to be {wanted!r}"
    )


def bare_ror(text: str) -> str:
    """Return a ROR without its address, in lower case."""
    return text.strip().lower().removeprefix(_ROR_PREFIX)


def ror_fault(code: str) -> str:
    """Return what is wrong with a bare ROR, or an empty string.

    Source: ROR's documentation: `0`, six characters of Crockford's base 32, two check digits by ISO 7064
    mod 97-10.
    """
    if len(code) != 9 or not code.startswith("0"):
        return "it is not a 0, six characters and two digits"
    body, check = code[1:7], code[7:]
    if any(letter not in ROR_ALPHABET for letter in body):
        return f"{body!r} has a character that is none of base 32 (digits, and letters but i, l, o, u)"
    value = 0
    for letter in body:
        value = value * 32 + ROR_ALPHABET.index(letter)
    wanted = f"{98 - value * 100 % 97:02d}"
    return "" if check == wanted else f"its check digits are {check!r} and would have to be {wanted!r}"
