"""Private information that has a form: found by regular expressions, and by check digits where there are such.

Card numbers must pass Luhn's check (ISO/IEC 7812), account numbers ISO 13616's remainder of 97 and their country's
length, addresses of machines must be addresses. So a number that only looks alike is left out. Social security numbers
have no check digit: theirs is the form with the ranges that were never given out.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

# The length of an IBAN by country (ISO 13616's registry); for any other, only the remainder is checked.
_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "BA": 20, "BE": 16, "BG": 22, "BR": 29, "CH": 21, "CY": 28, "CZ": 24,
    "DE": 22, "DK": 18, "EE": 20, "ES": 24, "FI": 18, "FR": 27, "GB": 22, "GI": 23, "GR": 27, "HR": 21, "HU": 28,
    "IE": 22, "IL": 23, "IS": 26, "IT": 27, "KW": 30, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "MC": 27, "MT": 31,
    "NL": 18, "NO": 15, "PL": 28, "PT": 25, "RO": 24, "RS": 22, "SA": 24, "SE": 24, "SI": 19, "SK": 24, "TR": 26,
}  # fmt: skip


class Found(NamedTuple):
    """Characters [start, end) that have the form of a kind; `checked` where check digits say so too."""

    start: int
    end: int
    kind: str
    checked: bool


def luhn(number: str) -> bool:
    """Whether the digits of a number pass Luhn's check."""
    digits = [int(d) for d in number if d.isascii() and d.isdigit()]
    doubled = (sum(divmod(2 * d, 10)) for d in digits[-2::-2])
    return bool(digits) and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def iban(number: str) -> bool:
    """Whether an account number has its country's length and leaves 1 when it is divided by 97."""
    bare = re.sub(r"\s", "", number).upper()
    if not re.fullmatch(r"[A-Z]{2}\d\d[A-Z0-9]{10,30}", bare) or len(bare) != _LENGTHS.get(bare[:2], len(bare)):
        return False
    return int("".join(str(int(c, 36)) for c in bare[4:] + bare[:4])) % 97 == 1


def _card(said: str) -> bool:
    digits = re.sub(r"\D", "", said)
    return 12 <= len(digits) <= 19 and len(set(digits)) > 1 and luhn(digits)


def _machine(said: str) -> bool:
    try:
        ipaddress.ip_address(said)
    except ValueError:
        return False
    return True


def _ssn(said: str) -> bool:
    area, group, serial = re.split(r"[- ]", said)
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


def _phone(said: str) -> bool:
    """7 to 15 digits (E.164), and more to it than one run of them: a sign of a country, brackets, or groups."""
    digits = re.sub(r"\D", "", said)
    return 7 <= len(digits) <= 15 and not _NO_PHONE.match(said)


# One run of digits, a date, a span of years, what looks like a social security number.
_NO_PHONE = re.compile(
    r"\d+$|\d{4}[-./]\d\d[-./]\d\d(?!\d)|\d{1,2}[-./]\d{1,2}[-./]\d{4}$|[12]\d{3}[-/ ][12]\d{3}$"
    r"|\d{3}[- ]\d\d[- ]\d{4}$"
)
_IP = re.compile(
    r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.]\d)|(?<![\w:])(?:[\da-fA-F]{1,4}:){2,7}[\da-fA-F:]{1,24}(?![\w:])"
)
_PHONE = re.compile(r"(?<![\w.])(?:\+|00)?\(?\d{1,4}\)?(?:[ .\-/x]{1,2}\(?\d{2,6}\)?){1,5}(?![\w-])")
_IBAN = re.compile(r"\b[A-Za-z]{2}\d\d(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,3})?\b")
_EMAIL = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}")

# In this order; what an earlier one has taken is not looked at again.
_FORMS: tuple[tuple[str, re.Pattern[str], Callable[[str], bool] | None, bool], ...] = (
    ("EMAIL_ADDRESS", _EMAIL, None, False),
    ("URL", re.compile(r"https?://[^\s<>\"']+"), None, False),
    ("IBAN_CODE", _IBAN, iban, True),
    ("CREDIT_CARD", re.compile(r"(?<![\w.-])\d(?:[ -]?\d){11,18}(?![\w-])"), _card, True),
    ("IP_ADDRESS", _IP, _machine, True),
    ("US_SSN", re.compile(r"(?<![\w-])\d{3}([- ])\d\d\1\d{4}(?![\w-])"), _ssn, False),
    ("PHONE_NUMBER", _PHONE, _phone, False),
)
KINDS = tuple(form[0] for form in _FORMS)


def patterns(text: str) -> Iterator[Found]:
    """What has a form, the surest kinds first; no two overlap."""
    taken = bytearray(len(text))
    for kind, form, check, checked in _FORMS:
        for match in form.finditer(text):
            start, end = match.span()
            if any(taken[start:end]) or (check is not None and not check(match.group())):
                continue
            taken[start:end] = b"\x01" * (end - start)
            yield Found(start, end, kind, checked)
