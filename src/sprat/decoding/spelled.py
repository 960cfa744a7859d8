"""The bytes of each token of a vocabulary, so that a server's token strings find their ids.

Byte-level BPE (GPT-2's table of printable stand-ins), sentencepiece ("▁", "<0x0A>") and plain tokens; sprat's own.
"""

from __future__ import annotations

import re
from functools import cache

from ..whitebox.vocabulary import Vocabulary

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


@cache
def _stand_ins() -> dict[str, int]:
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in set(plain)]
    return {chr(b): b for b in plain} | {chr(256 + i): b for i, b in enumerate(rest)}


def spelled(vocabulary: Vocabulary) -> dict[bytes, int]:
    """The id of each token by its bytes, and by its own name; of equal ones a whole token wins over a single byte."""
    table: dict[bytes, int] | None = vars(vocabulary).get("_by_bytes")
    if table is None:
        tokens = vocabulary.tokens
        table = {}
        # GPT-2's stand-ins for space and newline; sentencepiece never has both.
        level = any("Ġ" in t for t in tokens) and any("Ċ" in t for t in tokens)
        for i, token in enumerate(tokens):
            found = _bytes(token, level)
            if found is not None and (found not in table or _BYTE.fullmatch(tokens[table[found]])):
                table[found] = i
        for i, token in enumerate(tokens):
            table.setdefault(token.encode("utf-8", "surrogatepass"), i)
        vars(vocabulary)["_by_bytes"] = table
    return table


def _bytes(token: str, level: bool) -> bytes | None:
    if match := _BYTE.fullmatch(token):
        return bytes((int(match[1], 16),))
    if level:
        known = _stand_ins()
        return bytes(known[c] for c in token) if all(c in known for c in token) else None
    return token.replace("▁", " ").encode("utf-8", "surrogatepass")
