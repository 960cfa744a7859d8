"""The operator's login: one password in the store, signed sessions, tokens against forged posts, and a throttle.

A password, and not a link in the terminal, because a gateway runs under a supervisor that keeps what it prints, and
because several workers, restarts and a lost terminal must not change who may look. It is made with the store's first
key and shown once like that key; `sprat dashboard password` sets another. Kept are a salted scrypt hash (a person may
have chosen it, so guessing must be slow) and a random key that signs sessions, one row of the settings for all workers.

A session is `id.expires.mac`; logging out puts the id on a list until it would have expired, and another password
ends them all. A token against forged posts is a mac of the session's id, or, before there is one, of a random nonce in
a cookie. Everything is compared in constant time.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast

from ...errors import BadInput
from ..access.limits import Bucket

NAME = "dashboard"  # of the row in the settings
SHORTEST = 12
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that are read as another
_SCRYPT: dict[str, int] = {"n": 1 << 14, "r": 8, "p": 5, "dklen": 32}  # 16 MB and about a tenth of a second
_EVERY = 1.0  # seconds after which the row is read again
_MOST = 1000  # sessions that are kept as ended; addresses whose attempts are counted


class Kept(Protocol):
    """Where the row is kept (see Store)."""

    def setting(self, name: str) -> str | None:
        """A text that was kept under this name."""
        ...

    def keep(self, name: str, value: str) -> None:
        """Keep a text under a name."""
        ...

    def swap(self, name: str, before: str, value: str) -> bool:
        """Keep a text in place of this one; False where it is another by now."""
        ...


@dataclass(frozen=True)
class Secret:
    """What the store keeps of the login; `ended` are the sessions that were logged out, with when they expire."""

    salt: bytes
    digest: bytes
    key: bytes
    ended: tuple[tuple[str, float], ...] = ()

    @classmethod
    def of(cls, text: str) -> Secret:
        """Read the row."""
        raw = cast("dict[str, Any]", json.loads(text))
        salt, digest, key = (bytes.fromhex(raw[k]) for k in ("salt", "digest", "key"))
        return cls(salt, digest, key, tuple((str(a), float(b)) for a, b in raw.get("ended", ())))

    def to_json(self) -> str:
        """The row."""
        told = {"salt": self.salt.hex(), "digest": self.digest.hex(), "key": self.key.hex()}
        return json.dumps({**told, "ended": list(self.ended)})

    def mac(self, *words: str) -> str:
        """The signature of some words."""
        return hmac.new(self.key, "\0".join(words).encode(), hashlib.sha256).hexdigest()

    def holds(self, password: str) -> bool:
        """Whether this is the password; takes about a tenth of a second, on purpose."""
        return hmac.compare_digest(_digest(password, self.salt), self.digest)


def _digest(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode("utf-8", "replace"), salt=salt, maxmem=64 << 20, **_SCRYPT)


def generated() -> str:
    """A password of 99 random bits that can be read aloud and typed."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(5)) for _ in range(4))


def set_password(store: Kept, password: str) -> None:
    """Set the operator's password and end all sessions; raises BadInput where it is short."""
    if len(password) < SHORTEST:
        raise BadInput(f"The password has {len(password)} characters; it needs {SHORTEST} or more.")
    salt = secrets.token_bytes(16)
    store.keep(NAME, Secret(salt, _digest(password, salt), secrets.token_bytes(32)).to_json())


def first_password(store: Kept) -> str:
    """Make a password where there is none yet, to be shown once; empty where there is one."""
    if store.setting(NAME) is not None:
        return ""
    password = generated()
    set_password(store, password)
    return password


@dataclass(frozen=True)
class Session:
    """Who is logged in: the session's id, when it ends (seconds since 1970), and the token its posts must carry."""

    id: str
    expires: float
    token: str


class Operator:
    """The login over a store, for one worker; the row is read again about every second."""

    def __init__(self, store: Kept, hours: float = 12.0, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.store, self.hours, self._monotonic = store, hours, monotonic
        self._secret: Secret | None = None
        self._read_at = -_EVERY
        self._one = asyncio.Lock()  # one password is hashed at a time, so that guessing can't fill the memory
        self._attempts: OrderedDict[str, Bucket] = OrderedDict()
        self._all = Bucket(60, monotonic())

    async def secret(self, anew: bool = False) -> Secret | None:
        """The row; None where no password was set."""
        if anew or self._monotonic() - self._read_at >= _EVERY:
            text = await asyncio.to_thread(self.store.setting, NAME)
            self._secret, self._read_at = Secret.of(text) if text else None, self._monotonic()
        return self._secret

    async def session(self, cookie: str, now: float) -> Session | None:
        """The session of a cookie; None where it is not signed, has expired or was ended."""
        secret = await self.secret()
        number, _, rest = cookie.partition(".")
        expires, _, mac = rest.partition(".")
        if secret is None or not hmac.compare_digest(mac.encode(), secret.mac("session", number, expires).encode()):
            return None
        if now >= float(expires) or any(number == ended for ended, _ in secret.ended):
            return None
        return Session(number, float(expires), secret.mac("post", number))

    async def begin(self, now: float) -> str:
        """The cookie of a new session."""
        secret = await self.secret()
        assert secret is not None, "a session is begun after its password was checked"
        number, expires = secrets.token_urlsafe(18), str(int(now + self.hours * 3600))
        return f"{number}.{expires}.{secret.mac('session', number, expires)}"

    async def end(self, session: Session, now: float) -> None:
        """Log out, in every worker within about a second."""
        self._secret = await asyncio.to_thread(self._ended, session, now)

    def _ended(self, session: Session, now: float) -> Secret | None:
        # Meanwhile another session may end, or the password change: neither may be undone by what was read before.
        while (text := self.store.setting(NAME)) is not None:
            secret = Secret.of(text)
            left = [(a, b) for a, b in secret.ended if b > now and a != session.id][-_MOST:]
            ended = replace(secret, ended=(*left, (session.id, session.expires)))
            if self.store.swap(NAME, text, ended.to_json()):
                return ended
        return None

    async def form_token(self, nonce: str) -> str:
        """The token that a login form with this nonce must carry; empty where no password was set."""
        secret = await self.secret()
        return secret.mac("form", nonce) if secret else ""

    def wait(self, address: str) -> float:
        """Seconds until this address may try again; 0: now, and then the attempt counts."""
        at = self._monotonic()
        bucket = self._attempts.setdefault(address, Bucket(5, at))
        self._attempts.move_to_end(address)
        if len(self._attempts) > _MOST:
            self._attempts.popitem(last=False)
        wait = max(bucket.wait(1, at), self._all.wait(1, at))
        if not wait:
            bucket.take(1)
            self._all.take(1)
        return wait

    async def check(self, password: str) -> bool:
        """Whether this is the password."""
        secret = await self.secret(anew=True)
        async with self._one:
            return secret is not None and await asyncio.to_thread(secret.holds, password)

    def succeeded(self, address: str) -> None:
        """Forget this address's attempts."""
        self._attempts.pop(address, None)
