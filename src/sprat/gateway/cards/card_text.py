"""The decision card as a page of text: the drawing of reply.tree(), then a paragraph for each thing that is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from ...core import Reply
from ...measure.grade import NOT_CORRECTNESS
from ...tree import draw, money

KEPT = ("model", "by", "because", "cost", "seconds", "cancelled", "error")
_WIDE = 40  # characters of a model's name in a column


def drawn(card: Mapping[str, Any], tree: str = "") -> str:
    """The card as text; `tree` is the drawing where it is at hand with the replies' texts."""
    parts = [
        [tree or draw(_reply(card["asks"]))],
        _trusts(card),
        _quality(card),
        _options(card),
        _neighbours(card),
        _flips(card),
        [f"{name}: {text}" for name, text in (card.get("facts") or {}).items()],
        _covered(card),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def _reply(row: Mapping[str, Any]) -> Reply:
    kept = {k: row[k] for k in KEPT if k in row}
    return Reply(None, asks=tuple(_reply(a) for a in row.get("asks", ())), **kept)


def _trusts(card: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for row in card.get("trusts", ()):
        needed = f", needed {row['at_least']:.3g} to stay with {row['keeps']}" if row.get("at_least") else ""
        lines.append(f"trust {row['trust']:.3g} by {row['signal']}{needed}")
    return lines


def _rate(row: Mapping[str, Any]) -> str:
    return f"{row['value']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"


def _quality(card: Mapping[str, Any]) -> list[str]:
    found = card.get("quality")
    lines = [
        f"likely quality {_rate(found)}: {found['n']:,} rows, {found['by']}"
        if found
        else f"likely quality not known: {card.get('quality_unknown', 'no rows')}"
    ]
    if found and card.get("evidence"):
        lines.append(f"  {card['evidence']}")
    if unlike := card.get("unlike"):
        near, usual = unlike["nearest"], unlike["usual"]
        lines.append(
            f"  unlike the study's rows (the nearest is {near:.2f} alike, usual is {usual:.2f}): it may not hold here"
        )
    least = card.get("min_quality")
    if least:
        lines.append(f"  asked for at least {least['asked']:g}: {'shown' if least['shown'] else 'not shown'}")
    return lines


def _options(card: Mapping[str, Any]) -> list[str]:
    priced = cast("Mapping[str, float | None]", card.get("options") or {})
    predicted = cast("Mapping[str, Mapping[str, Any]]", card.get("predicted") or {})
    names = list(dict.fromkeys([*priced, *predicted]))
    if not names:
        return []
    wide = min(max(map(len, names)), _WIDE)
    lines = ["one model alone, for as many tokens"]
    for name in names:
        price = money(priced.get(name)).removeprefix("cost ")
        rate = _rate(predicted[name]) if name in predicted else "quality not known"
        mark = "*" if name == card.get("model") else " "
        lines.append(f"{mark} {name:<{wide}}  {price:>10}  {rate}")
    return lines


def _neighbours(card: Mapping[str, Any]) -> list[str]:
    rows = cast("list[dict[str, Any]]", card.get("neighbours") or [])
    outcome = _outcomes(card)
    lines: list[str] = []
    for row in rows:
        scores = ", ".join(f"{name} {outcome(score)}" for name, score in row["scores"].items())
        text = f'  "{_line(row["text"])}"' if row.get("text") else ""
        fitted = " (fitted on)" if row["fitted"] else " (own log)" if row["source"] == "log" else ""
        lines.append(f"  {row['similarity']:.2f}  {row['id']}{fitted}: {scores}{text}")
    of = ", of the conversation's opening" if card.get("later_turn") else ""
    return [f"nearest logged{of}", *lines] if lines else []


def _outcomes(card: Mapping[str, Any]) -> Callable[[float], str]:
    words = ("differs", "agrees") if NOT_CORRECTNESS in str(card.get("evidence", "")) else ("wrong", "right")
    return lambda score: words[int(score)] if score in (0.0, 1.0) else f"{score:.2f}"


def _line(text: str, width: int = 60) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


def _flips(card: Mapping[str, Any]) -> list[str]:
    lines = [f"  {flipped(row)}" for row in card.get("flip") or ()]
    return ["what would flip it", *lines] if lines else []


def flipped(row: Mapping[str, Any]) -> str:
    """One thing that would have changed the choice, in words."""
    to = f" → {row['model']}" if row.get("model") else ""
    price = f", {money(row['cost'])}" if row.get("model") and row.get("cost") is not None else ""
    if row["by"] == "trust":
        return f"trust {row['had']:.3g}; the choice flips {row['direction']} {row['needed']:.3g}{to}{price}"
    if row["by"] == "votes":
        return f"votes: the margin is {row['margin']}"
    if row["by"] == "setting":
        return f"setting '{row['setting']}'{to}{price}"
    name, value = next(iter(row["override"].items()))
    side = f" {row['side']}" if row.get("side") else ""
    shown = f"{value:.3g}" if isinstance(value, float) else f'"{value}"'
    return f"sprat.{name}{side} {shown}{to}{price}"


def _covered(card: Mapping[str, Any]) -> list[str]:
    held = cast("Mapping[str, str]", card.get("certificate") or {})
    covered = cast("Mapping[str, str]", card.get("covered") or {})
    if not covered.get("by"):
        return [f"no certificate covers this: {covered.get('why') or 'the served file has none'}"]
    lines = [f"covered by the certificate of {held.get('date', 'an unknown date')}"]
    shown = ("claim", "way of working", "confidence", "evidence", "data")
    return lines + [f"  {name}: {held[name]}" for name in shown if name in held]
