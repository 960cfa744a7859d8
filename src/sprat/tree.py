"""Draws a reply's tree of asks: the same drawing in the terminal, the gateway's card and the dashboard."""

from __future__ import annotations

from .core import Reply


def money(dollars: float | None) -> str:
    """Dollars in a few significant digits; unknown is said, never 0."""
    if dollars is None:
        return "cost unknown"
    if dollars == 0:
        return "$0"
    return f"${dollars:.2f}" if dollars >= 1 else f"${dollars:.3g}"


def duration(seconds: float | None) -> str:
    """Seconds in a readable unit."""
    if seconds is None:
        return "time unknown"
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.3g} ms"


def _line(reply: Reply) -> str:
    said = f'"{_short(reply.text)}"' if reply.text is not None else ""
    if reply.error:
        said = f"failed: {_short(reply.error, 100)}"
    elif reply.cancelled:
        said = "cancelled"
    who = f"{reply.by} → {reply.model}" if reply.by and reply.model else reply.by or reply.model or "?"
    reason = f"because {reply.because}" if reply.because else ""
    return " · ".join(part for part in (who, said, reason, money(reply.cost), duration(reply.seconds)) if part)


def _short(text: str, width: int = 60) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


def draw(reply: Reply) -> str:
    """The reply and everything it took, one line each."""
    lines = [_line(reply)]

    def below(parts: tuple[Reply, ...], indent: str) -> None:
        for i, part in enumerate(parts):
            last = i == len(parts) - 1
            lines.append(f"{indent}{'└─' if last else '├─'} {_line(part)}")
            below(part.asks, indent + ("   " if last else "│  "))

    below(reply.asks, "")
    return "\n".join(lines)
