"""One key for one run of the gateway: what stands at the door where no database of keys is used."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from secrets import token_urlsafe


@dataclass(frozen=True, slots=True)
class Holder:
    """Whoever holds the key."""

    id: str = "run"
    name: str = "run"


@dataclass(frozen=True)
class OneKey:
    """A key without budget or rate; only its hash is compared."""

    secret: str = field(repr=False)
    digest: bytes = field(repr=False)

    @classmethod
    def made(cls) -> OneKey:
        """A new key."""
        secret = f"sk-sprat-{token_urlsafe(24)}"
        return cls(secret, hashlib.sha256(secret.encode()).digest())

    def check(self, secret: str, now: float) -> Holder | None:
        """The holder, None where the secret is another."""
        found = hashlib.sha256(secret.encode("utf-8", "replace")).digest()
        return Holder() if hmac.compare_digest(found, self.digest) else None

    def refusal(self, key: Holder, now: float) -> None:
        """Never."""
        return

    def charge(self, key_id: str, dollars: float | None, now: float) -> None:
        """Nothing is counted."""
