"""Why a decoder wrote what it wrote: per token, each part's contribution, who moved the choice, how far from the base.

A contribution is what a part adds to the margin of the written token over its rival: the token that the base alone
would have chosen or, where that is the one written, the runner-up. For sums of scores the contributions add up to the
margin exactly. The reply is read once more, in one block; numbers may differ from those while writing by rounding.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .arrays import host, log_softmax
from .pool import Pool, Step
from .spelling import Speller

if TYPE_CHECKING:
    from .decoder import Decoder
    from .writing import Decoded


@dataclass(frozen=True)
class Choice:
    """One token: what was written, against which rival, by how much (nats), and through whom.

    `moved_by` names the part that did most to turn the base's choice into another, "" where the base's choice stands.
    The margin over a rival that a mask excluded is infinite; contributions are then those without the mask.
    `divergence` is KL(decoder || base) in nats. `drawn` says that a likelier token was there: it was sampled, or a
    penalty counted.
    """

    token: str
    rival: str
    base_choice: str
    contributions: tuple[float, ...]
    margin: float
    moved_by: str
    divergence: float
    probability: float
    base_probability: float
    drawn: bool
    special: bool


@dataclass(frozen=True)
class Explanation:
    """Every token's choice; `parts` name the contributions' columns, the base's first.

    `paid` is what asking the remote parts again took, by name: calls, tokens, dollars (None: unknown).
    """

    formula: str
    base: str
    parts: tuple[str, ...]
    choices: tuple[Choice, ...]
    prompt: str = ""
    paid: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def moved(self) -> int:
        """How many tokens' choice the parts changed."""
        return sum(bool(choice.moved_by) for choice in self.choices)

    @property
    def said(self) -> str:
        """What happened, in a sentence."""
        drawn = sum(choice.drawn for choice in self.choices)
        more = f"; {drawn} of them had a likelier rival (drawn, or penalised)" if drawn else ""
        return f"in {self.moved} of {len(self.choices)} tokens the choice is not the one of {self.base} alone{more}."

    def row(self) -> dict[str, Any]:
        """The explanation as JSON has it; an infinite margin (the rival was excluded) is null."""
        tokens = [
            {
                "token": c.token,
                "rival": c.rival,
                "base_choice": c.base_choice,
                "contributions": dict(zip(self.parts, map(_finite, c.contributions), strict=True)),
                "margin": _finite(c.margin),
                "moved_by": c.moved_by or None,
                "divergence": _finite(c.divergence),
                "probability": c.probability,
                "base_probability": c.base_probability,
                "drawn": c.drawn,
            }
            for c in self.choices
        ]
        return {"formula": self.formula, "base": self.base, "parts": list(self.parts), "tokens": tokens} | (
            {"paid": dict(self.paid)} if self.paid else {}
        )

    def __str__(self) -> str:
        head = ["token", "instead of", *self.parts, "margin", "moved by", "KL to base"]
        lines = [[*cells[:-1], cells[-1]] for cells in map(self._cells, self.choices)]
        widths = [max(len(line[i]) for line in [head, *lines]) for i in range(len(head))]
        drawn = [
            "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in [head, *lines]
        ]
        return "\n".join([f"{self.formula}: {self.said}", "", *drawn])

    def _cells(self, c: Choice) -> list[str]:
        numbers = [_signed(x) for x in (*c.contributions, c.margin)]
        mark = " (drawn)" if c.drawn else ""
        rival = _shown(c.rival) + (" (excluded)" if c.margin == math.inf else "")
        return [_shown(c.token) + mark, rival, *numbers, c.moved_by or "-", f"{c.divergence:.2f}"]

    def html(self) -> str:
        """A page of its own: the text, coloured by who moved each token, with the numbers below."""
        colours = {part: f"hsl({(47 + 137 * i) % 360} 70% 82%)" for i, part in enumerate(self.parts)}
        spans = "".join(_span(c, self.parts, colours) for c in self.choices if not c.special)
        legend = " ".join(f'<span style="background:{c}">{html.escape(p)}</span>' for p, c in colours.items())
        names = ["token", "instead of", *self.parts, "margin", "moved by", "KL to base"]
        head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
        rows = "".join(
            f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in self._cells(c))}</tr>" for c in self.choices
        )
        return _PAGE.format(
            formula=html.escape(self.formula),
            said=html.escape(self.said[0].upper() + self.said[1:]),
            prompt=html.escape(self.prompt),
            legend=legend,
            text=spans,
            head=head,
            rows=rows,
        )


_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{formula}</title><style>
body{{font:16px/1.6 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}}
.text{{font:18px/2 ui-monospace,monospace;white-space:pre-wrap;border:1px solid #ccc;border-radius:6px;padding:1rem}}
.text span,.legend span{{border-radius:3px;padding:1px 2px}}
.prompt{{color:#666}} .drawn{{text-decoration:underline dotted}}
table{{border-collapse:collapse;font-size:14px;margin-top:1.5rem}} td,th{{padding:.2rem .8rem;text-align:right}}
td:nth-child(-n+2),th:nth-child(-n+2){{text-align:left;font-family:ui-monospace,monospace;white-space:pre}}
tr:nth-child(even){{background:#f5f5f5}}</style>
<h1>{formula}</h1><p>{said} A colour names the part that moved the token; a dotted line says that it was drawn.</p>
<p class="legend">{legend}</p><div class="text"><span class="prompt">{prompt}</span> {text}</div>
<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></html>
"""


def _span(c: Choice, parts: tuple[str, ...], colours: dict[str, str]) -> str:
    pairs = zip(parts, c.contributions, strict=True)
    told = f"not {_shown(c.rival)}: " + ", ".join(f"{name} {_signed(x)}" for name, x in pairs)
    style = f' style="background:{colours[c.moved_by]}"' if c.moved_by else ""
    kind = ' class="drawn"' if c.drawn else ""
    return f'<span{kind}{style} title="{html.escape(told, quote=True)}">{html.escape(c.token)}</span>'


def _shown(token: str) -> str:
    return repr(token)[1:-1] if token.strip() or not token else repr(token)


def _signed(x: float) -> str:
    return f"{x:+.2f}" if math.isfinite(x) else ("+inf" if x > 0 else "-inf" if x < 0 else "-")


def _finite(x: float) -> float | None:
    return x if math.isfinite(x) else None


def explain(decoded: Decoded) -> Explanation:
    """Why each token of a reply was chosen."""
    decoder, ids = decoded.decoder, np.array(decoded.ids, np.int64)
    if not len(ids):
        return Explanation(decoder.formula, decoder.base.formula, (), ())
    told: dict[str, Any] = {}
    pool = Pool([decoder], [decoded.request], [told])
    try:
        pool.write(ids[None, :-1])
        step = pool.look(len(ids))
        scores = _rows(step.of(decoder))
        terms = _terms(decoder, step)
        base = _rows(step.of(decoder.base))
    finally:
        pool.close()
    names = _distinct([name for name, _ in terms])
    spelled = _spell(decoder, decoded.ids)
    chosen = [
        _choice(decoder, int(token), text, scores[i], base[i], names, [term[i] for _, term in terms])
        for i, (token, text) in enumerate(zip(ids, spelled, strict=True))
    ]
    said, paid = decoded.request.text, told.get("paid", {})
    return Explanation(decoder.formula, decoder.base.formula, tuple(names), tuple(chosen), said, paid)


def _choice(
    decoder: Decoder, token: int, text: str, scores: Any, base: Any, names: list[str], terms: list[Any]
) -> Choice:
    best, base_best = int(scores.argmax()), int(base.argmax())
    others = np.where(np.arange(len(scores)) == token, -np.inf, scores)
    if others.max() == -np.inf:  # all but one were masked: what the base would have liked next
        others = np.where(np.arange(len(scores)) == token, -np.inf, base)
    rival = base_best if base_best != token else int(others.argmax())
    with np.errstate(invalid="ignore"):
        margin = float(scores[token] - scores[rival])
        contributions = [float(term[token] - term[rival]) for term in terms]
        logs, base_logs = log_softmax(scores), log_softmax(base)
        chances = np.exp(logs)
        held = chances > 0
        divergence = float((chances[held] * (logs[held] - base_logs[held])).sum())
    pushed = [(x, name) for x, name in zip(contributions, names, strict=True) if name != decoder.base.formula]
    moved = max(pushed)[1] if base_best != best and pushed else ""
    return Choice(
        text,
        _named(decoder, rival),
        _named(decoder, base_best),
        tuple(contributions),
        margin,
        moved,
        divergence,
        float(chances[token]),
        float(np.exp(base_logs[token])),
        token != best,
        not decoder.base.vocabulary.decode([token]),
    )


def _terms(decoder: Decoder, step: Step) -> list[tuple[str, Any]]:
    """What adds up to the scores, by name: every leaf of a sum, or a decoder's own terms where it is no sum."""
    if decoder.linear is None:
        return [(part.formula, _rows(term)) for part, term in decoder.terms(step)]
    added = [(part, weight) for part, weight in _opened(decoder, 1.0) if weight]
    return [(f"-{p.formula}" if w < 0 else p.formula, w * _rows(step.of(p))) for p, w in added]


def _opened(decoder: Decoder, weight: float) -> list[tuple[Decoder, float]]:
    """The parts of a sum with what they count in all, sums inside it opened, each part once."""
    if decoder.linear is None:
        return [(decoder, weight)]
    found: list[tuple[Decoder, float]] = []
    for part, times in decoder.linear:
        for one, counts in _opened(part, weight * times):
            place = next((i for i, (seen, _) in enumerate(found) if seen is one), None)
            if place is None:
                found.append((one, counts))
            else:
                found[place] = (one, found[place][1] + counts)
    return found


def _rows(scores: Any) -> Any:
    return host(scores)[0].astype(np.float64)


def _named(decoder: Decoder, token: int) -> str:
    vocabulary = decoder.base.vocabulary
    return vocabulary.decode([token]) or vocabulary.tokens[token]


def _spell(decoder: Decoder, ids: tuple[int, ...]) -> list[str]:
    speller = Speller(decoder.base.vocabulary)
    return [speller.add(token) or decoder.base.vocabulary.tokens[token] for token in ids]


def _distinct(names: list[str]) -> list[str]:
    return [name if names.count(name) == 1 else f"{name} #{names[: i + 1].count(name)}" for i, name in enumerate(names)]
