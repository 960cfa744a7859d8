"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from .errors import BadInput


def whole(path: Path, fill: Callable[[IO[bytes]], Any], lasting: bool = False) -> None:
    """Write beside the path, then move over it: a reader sees the old file or the new one; `lasting` syncs to disk.

    Raises BadInput where there is no room left, OSError where it can't be written for another reason.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
    try:
        with os.fdopen(handle, "wb") as file:
            fill(file)
            if lasting:
                file.flush()
                os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise BadInput(
                f"There is no room left to write {path}.", hint="Make room; what was there is intact."
            ) from None
        raise
