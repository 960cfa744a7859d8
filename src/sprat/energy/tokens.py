"""What a served model draws for the tokens that it writes, from its active parameters: a value, a low and a high.

EcoLogits' method (ecologits 0.11, docs/methodology/llm_inference.md; Rince and Banse, JOSS 2025), a regression on the
ML.ENERGY benchmark (arXiv 2505.06371; vLLM on H100): per token a board's energy and time as functions of the active
parameters and of the batch, times the boards that hold the model, with the server beside them, times the data
centre's overhead (PUE). The formula and its published constants are theirs; checked against their package, see
tests/energy. They count tokens written alone, so do our value and our low; our high adds the prompt's.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache

from ..core import Usage
from ..errors import BadInput
from .amount import Energy

METHOD = "tokens x active parameters, estimated"
# The regression's constants: Wh and seconds per token, for billions of parameters and a batch.
_WH = (1.1665273170451914e-06, -0.011205921025579175, 4.052928146734005e-05)
_SECONDS = (0.0006785088094353663, 0.0003119310311688259, 0.019473717579473387)
_BOARD_GB, _BOARDS, _SERVER_WATTS, _OVERHEAD, _BITS = 80, 8, 1200, 1.2, 16
# Reading a prompt takes 2 FLOP per active parameter and token; an H100 gives 989 TFLOP/s at 700 W, at best 40 % of it
# in use. The prompt is often cached, so that the least is nothing. This part is sprat's own.
_JOULES_READ = 2e9 / (0.4 * 989e12 / 700)
BATCHES = (256, 64, 16)
PUES = (1.09, 1.14, 1.20)  # as the large providers publish them
_MIXTRALS = {"8x7b": (12.9, 46.7), "8x22b": (39.0, 141.0)}  # as published by Mistral: experts share their attention

Range = tuple[float, float]


@dataclass(frozen=True)
class Served:
    """How a model is served: billions of parameters active per token and in all, each a lowest and a highest.

    `batch` (requests at once) and `pue` are those of the low, of the value and of the high; `note` says where the
    numbers come from. BadInput for what can't be.
    """

    active: Range
    total: Range
    batch: tuple[int, int, int] = BATCHES
    pue: tuple[float, float, float] = PUES
    note: str = ""

    def __post_init__(self) -> None:
        (least, most), (small, large) = self.active, self.total
        if not (0 < least <= most < math.inf and 0 < small <= large < math.inf and least <= small and most <= large):
            raise BadInput(
                f"Active parameters of {self.active} and {self.total} in all can't be: billions, the low before the "
                "high, and no more active than there are."
            )
        if not 512 >= self.batch[0] >= self.batch[1] >= self.batch[2] >= 1:
            raise BadInput(f"Batches are {self.batch}; they need to fall from the low's (at most 512) to the high's.")
        if not 1 <= self.pue[0] <= self.pue[1] <= self.pue[2] < math.inf:
            raise BadInput(f"PUEs are {self.pue}; they need to rise, from 1.")

    @classmethod
    def of(
        cls,
        active: float | Range,
        total: float | Range | None = None,
        batch: int | None = None,
        pue: float | None = None,
        note: str = "",
    ) -> Served:
        """The same from single numbers; a dense model has all its parameters active."""
        some = active if isinstance(active, tuple) else (active, active)
        every = some if total is None else total if isinstance(total, tuple) else (total, total)
        return cls(
            some,
            every,
            BATCHES if batch is None else (batch, batch, batch),
            PUES if pue is None else (pue, pue, pue),
            note,
        )

    @property
    def per_token(self) -> tuple[float, float, float]:
        """Joules per token written: the value (at the geometric middle of the parameters), the low and the high."""
        middle = math.sqrt(self.active[0] * self.active[1]), math.sqrt(self.total[0] * self.total[1])
        low, value, high = (
            joules(a, t, b, p)
            for a, t, b, p in zip(
                (self.active[0], middle[0], self.active[1]),
                (self.total[0], middle[1], self.total[1]),
                self.batch,
                self.pue,
                strict=True,
            )
        )
        return value, low, high


@lru_cache(maxsize=256)
def joules(active: float, total: float, batch: int, pue: float) -> float:
    """Joules per token written by a model of so many billions of parameters, the server and the PUE included."""
    board = 3600 * (_WH[0] * math.exp(_WH[1] * batch) * active + _WH[2])
    seconds = _SECONDS[0] * active + _SECONDS[1] * batch + _SECONDS[2]
    boards = boards_for(total)
    return pue * boards * (board + seconds * _SERVER_WATTS / _BOARDS / batch)


def boards_for(total: float) -> int:
    """How many boards of 80 GB hold so many billions of parameters of 16 bits, a power of two."""
    return 2 ** math.ceil(math.log2(math.ceil(_OVERHEAD * total * _BITS / 8 / _BOARD_GB)))


def of_tokens(served: Served, usage: Usage | None) -> Energy:
    """The energy of a call, unknown where nobody knows how many tokens it wrote."""
    if usage is None or usage.output_tokens is None:
        return Energy.unknown(METHOD, "how many tokens were written is not known")
    value, low, high = (j * usage.output_tokens for j in served.per_token)
    read = served.pue[2] * _JOULES_READ * served.active[1] * (usage.input_tokens or 0)
    how = f"{_said(served.active)} billion parameters active of {_said(served.total)}"
    assumed = (
        f"batches of {served.batch[2]} to {served.batch[0]} on H100 GPUs, "
        f"PUE {_said((served.pue[0], served.pue[2]))}; "
        "the regression's own error is not in the range"
    )
    unread = ("the prompt's tokens are not known, and not in the high",) if usage.input_tokens is None else ()
    return Energy(
        value,
        low,
        high + read,
        METHOD,
        "estimated",
        (how + (f" ({served.note})" if served.note else ""), assumed, *unread),
    )


def _said(bounds: Range) -> str:
    return f"{bounds[0]:g}" if bounds[0] == bounds[1] else f"{bounds[0]:g} to {bounds[1]:g}"


def parameters_in(name: str) -> Served | None:
    """What a model's name says of its size, such as llama-3.1-8b or qwen3-30b-a3b; None where it says nothing.

    A closed model's size is not guessed.
    """
    said = name.lower()
    for mixture, (active, whole) in _MIXTRALS.items():
        if re.search(rf"(?<![a-z0-9]){mixture}(?![a-z0-9])", said):
            return Served.of(active, whole, note="from its name, as published")
    if re.search(r"\d+x\d", said):
        return None
    sizes = re.findall(r"(?<![a-z0-9.])(\d+(?:\.\d+)?)([bm])(?![a-z0-9])", said)
    active = re.findall(r"(?<![a-z0-9.])a(\d+(?:\.\d+)?)b(?![a-z0-9])", said)
    billions = {float(n) / (1 if unit == "b" else 1000) for n, unit in sizes}
    if len(billions) != 1 or len(active) > 1:
        return None
    (whole,) = billions
    some = float(active[0]) if active else whole
    return Served.of(some, whole, note="from its name") if 0 < some <= whole else None
