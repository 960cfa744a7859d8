"""An endpoint's key: from a callable, from a file that is its owner's alone, or from the environment."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from ..errors import BadKey

_LONGEST = 65_536
_read: dict[str, tuple[tuple[int, ...], str]] = {}  # by path: which file that was, and what it held


def read_key(name: str, key: Callable[[], str] | None, key_env: str, key_file: str | None = None) -> str:
    """The key from the callable, else from the file, else from the environment; "" where there is none.

    Raises BadKey where it is unusable: a file that others may read, or characters that no header can carry.
    """
    if key is None and key_file:
        secret, source = _from_file(name, key_file), key_file
    else:
        secret = (key() if key else os.environ.get(key_env, "") if key_env else "").strip()
        source = key_env or "the given callable"
    if not (secret.isascii() and secret.isprintable()) or " " in secret:
        raise BadKey(f"The key of '{name}' holds characters that no header can carry.", hint=f"Look at {source}.")
    return secret


def _from_file(name: str, path: str) -> str:
    """The file's one line; it is read again when it has changed, and its mode is looked at each time."""
    what = f"The file {path} with the key of '{name}'"
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise BadKey(f"{what} is no file.", hint="Put the key alone into a file of mode 600.")
        if os.name == "posix":
            if found.st_uid not in (os.geteuid(), 0):
                raise BadKey(f"{what} belongs to somebody else.", hint=f"Take it over: chown {os.geteuid()} {path}")
            if found.st_mode & 0o077:
                mode = f"{stat.S_IMODE(found.st_mode):o}"
                raise BadKey(f"{what} has mode {mode}, so others may read it.", hint=f"Run: chmod 600 {path}")
        seen = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
        kept = _read.get(path)
        if kept is None or kept[0] != seen:
            with Path(path).open("rb") as file:
                kept = _read[path] = (seen, file.read(_LONGEST).decode("utf-8", "replace").strip())
    except OSError as error:
        raise BadKey(f"{what} can't be read: {error.strerror}.", hint="Put the key into it, with mode 600.") from None
    if not kept[1]:
        raise BadKey(f"{what} is empty.", hint="Put the key into it.")
    return kept[1]
