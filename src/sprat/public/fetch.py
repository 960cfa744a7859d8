"""Gets the files of a public set once, from its repository at a fixed commit, and checks each by its git blob id.

Checked against a loopback server in tests/test_public.py. Files stay in the cache folder (SPRAT_CACHE).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from ..encoders.store import cache_folder
from ..endpoints.routes import certificates, proxy_for
from ..errors import BadInput, Garbled, Unreachable, nearest
from ..files import whole

BASE = "https://raw.githubusercontent.com"
_TRIES = 3
_SECONDS = 60.0


@dataclass(frozen=True)
class Source:
    """A public set: its repository at a commit, the files with their git blob ids, and how many rows they make."""

    repository: str
    commit: str
    licence: str
    rows: int
    files: Mapping[str, str]

    @property
    def note(self) -> str:
        """Where the data come from, in words."""
        return f"From github.com/{self.repository} @ {self.commit[:12]} ({self.licence})."


def source(name: str) -> Source:
    """The public set called `name`; raises BadInput that names the nearest."""
    known = json.loads(files("sprat.public").joinpath("sources.json").read_text("utf-8"))
    if name not in known:
        raise BadInput(f"There is no public set '{name}'.", hint=nearest(name, known))
    return Source(**known[name])


def blob_id(content: bytes) -> str:
    """The id that git gives a file of this content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def fetch(source: Source, path: str, base: str | None = None) -> Path:
    """The file at `path` of the repository, from the cache or downloaded and checked.

    Raises Unreachable where the network can't be reached, Garbled where what came is not that file.
    """
    kept = cache_folder() / "public" / source.commit[:12] / path.replace("/", "__")
    wanted = source.files[path]
    if kept.exists() and blob_id(kept.read_bytes()) == wanted:
        return kept
    url = f"{base or BASE}/{source.repository}/{source.commit}/{quote(path)}"
    content = _download(url, kept)
    if blob_id(content) != wanted:
        raise Garbled(
            f"{url} gave {len(content):,} bytes that are not the file of commit {source.commit[:12]}.",
            hint=f"Something between changed it; put the right file at {kept}.",
        )
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        whole(kept, lambda file: file.write(content))
    except OSError as error:
        raise BadInput(
            f"{kept} can't be written: {error.strerror}.", hint="Set SPRAT_CACHE to another folder."
        ) from error
    return kept


def _download(url: str, kept: Path) -> bytes:
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import HTTPSHandler, ProxyHandler, build_opener

    hint = f"Connect and try again, put the file at {kept}, or set SPRAT_DATA to a folder that holds the set."
    proxy = proxy_for(url)
    through = ProxyHandler({"http": proxy, "https": proxy} if proxy else {})
    opener = build_opener(through, HTTPSHandler(context=certificates()))
    status = None
    for left in reversed(range(_TRIES)):
        try:
            with opener.open(url, timeout=_SECONDS) as answer:
                return answer.read()
        except HTTPError as error:
            error.close()
            status = error.code
            if status < 500 and status != 429:
                break
        except (OSError, HTTPException) as error:
            if not left:
                raise Unreachable(f"{url} can't be reached ({error}).", hint=hint) from error
    raise Unreachable(f"{url} answered {status}.", hint=hint, status=status)


def local(*names: str) -> Path | None:
    """The file below SPRAT_DATA, or None where there is none."""
    folder = os.environ.get("SPRAT_DATA")
    path = Path(folder, *names) if folder else None
    return path if path is not None and path.exists() else None


def counted(name: str, rows: int, wanted: int) -> None:
    """Check the number of rows; raises Garbled."""
    if rows != wanted:
        raise Garbled(f"{name} has {rows:,} rows, not {wanted:,}.", hint="Remove the cached files and load it again.")
