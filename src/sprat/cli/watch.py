"""`sprat study --watch`: label disagreements blind, the most useful first, and see the bound tighten.

What is asked and what it shows is in study/labels.py; this file draws it and reads keys (lines, off a terminal).
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ..answers import canonical_call
from ..core import Reply
from ..errors import BadInput
from ..study import ledger
from ..study.certificate import Certificate, to_json
from ..study.certify import Promise
from ..study.label_file import LabelFile
from ..study.label_plan import plan as make_plan
from ..study.labels import Plan, Standing, Verdict, certificate, outlook, standing
from ..study.words import percent

HELP = "a only A is right · b only B · = both fine · n neither · s skip · u undo · m show all · q quit"
LONG, WIDE, UNLIKELY = 1600, 100, 0.1
BARS = "▁▂▃▄▅▆▇█"
_SAID: dict[Verdict, str] = {"both": "both fine", "neither": "neither", "skip": "skipped: counts as the worst case"}


def label(
    source: str,
    small: str | None,
    large: str | None,
    peers: Sequence[str],
    within: float | None,
    confidence: float,
    skip_bad: bool,
    *,
    bounds: tuple[float, float] | None = None,
    columns: dict[str, str] | None = None,
    kept: Path | None = None,
    out: Path = Path("study"),
    as_json: bool = False,
) -> None:
    """Ask for labels until quit or nothing more can be learned; writes what is certified. `within` is 2 unless given.

    Raises BadInput for calls that can't be labelled, or too few to show anything.
    """
    from ..study.job import load, pair

    console = Console(highlight=False, stderr=as_json)
    if not 0.5 <= confidence < 1:
        raise BadInput(f"--confidence is {confidence:g}; it must be at least 0.5 and below 1.", hint="0.95 is usual.")
    promise = Promise("within", (2.0 if within is None else within) / 100)
    with _working(console, "reading the calls, making the list"):
        data = load(source, skip_bad=skip_bad, bounds=bounds, columns=columns)
        plan = make_plan(data, *pair(data, small, large), peers, promise, round(1 - confidence, 12))
        book = LabelFile.open(kept or beside(source), plan)
        earlier = _earlier(plan)
    _introduce(console, plan, book)
    at = standing(plan, book.verdicts)
    with _keys() as next_key:
        at = _session(console, plan, book, at, next_key)
    found = certificate(plan, at, date=datetime.date.today().isoformat(), earlier_studies=earlier)
    written = _save(plan, at, found, out) if at.certified is not None else []
    if as_json:
        print(json.dumps(_state(plan, at, book, found, written), allow_nan=False))
    else:
        _conclude(console, plan, at, book, found, written)


def beside(source: str) -> Path:
    """The labels' file of a calls file: `calls.jsonl` has `calls.jsonl.labels.jsonl` beside it."""
    return Path(f"{source}.labels.jsonl")


def _session(console: Console, plan: Plan, book: LabelFile, at: Standing, next_key: Callable[[], str]) -> Standing:
    with suppress(KeyboardInterrupt):  # whenever it comes, it ends like q
        for reached in _labelled(console, plan, book, at, next_key):
            at = reached
    return at


def _labelled(
    console: Console, plan: Plan, book: LabelFile, at: Standing, next_key: Callable[[], str]
) -> Iterator[Standing]:
    """Ask for one label after another; where things stand after each."""
    whole = False
    shown: int | None = None
    while at.row is not None:
        if shown != at.row or whole:
            console.print(_question(plan, at.row, console.width, whole))
            shown = at.row
        whole = False
        key = next_key()
        if key in ("q", ""):
            return
        if key == "m":
            whole = True
        elif key == "u":
            back = book.undo()
            console.print(Text(f"taken back: {back}" if back else "there is no label to take back", style="dim"))
            shown = None
        elif key in ("a", "b", "=", "n", "s"):
            verdict = plan.meant(at.row, key)
            book.add(at.row, verdict)
            console.print(Text(f"{key}: {_SAID.get(verdict, f'only {key.upper()} is right')}", style="dim"))
        else:
            console.print(Text(f"'{printable(key)}' is no verdict: {HELP}", style="yellow"))
            continue
        if key != "m":
            at = standing(plan, book.verdicts)
            console.print(bound(plan, at, book))
            yield at


def bound(plan: Plan, at: Standing, book: LabelFile) -> Text:
    """The line after each label: what is certified, how far the evidence for more has come, what that would take."""
    parts = [f"{at.labels} labelled", _certified(plan, at)]
    line = Text(" · ".join(parts), style="bold" if at.certified is not None else "")
    if at.current is None:
        return line
    more = percent(plan.ways[at.current].share)
    read = at.reads[at.current].path
    line.append(f" · {_bar(read, plan.goal)}", style="cyan")
    ahead = outlook(plan, at, book.verdicts)
    if ahead is None:
        line.append(f" · {more} can't be shown: every label it needs is there")
    elif ahead.chance < UNLIKELY:
        line.append(f" · {more} is unlikely to be shown (chance about {percent(ahead.chance)}); q ends here")
    else:
        labels = "1 more label" if ahead.labels == 1 else f"{ahead.labels} more labels"
        line.append(f" · about {labels} for {more}")
        if ahead.chance < 0.8:
            line.append(f" (chance {percent(ahead.chance)})", style="dim")
    return line


def _certified(plan: Plan, at: Standing) -> str:
    if at.certified is None:
        return "nothing certified yet"
    share = percent(plan.ways[at.certified].share)
    points, confidence = f"{100 * plan.promise.level:g} points", f"{100 * (1 - plan.delta):g} %"
    return f"certified: {share} of traffic can stay small within {points} at {confidence}"


def _bar(path: Any, goal: float, width: int = 16) -> str:
    """The evidence so far as bars up to its goal, and how much of it is there."""
    now = float(path[-1]) if len(path) else 0.0
    steps = [float(path[int((i + 1) * len(path) / width) - 1]) for i in range(width)] if len(path) >= width else [now]
    heights = [max(0, min(len(BARS) - 1, int(s / goal * len(BARS)))) for s in steps]
    return "".join(BARS[h] for h in heights) + f" {percent(max(0.0, now / goal))} of the evidence"


def _question(plan: Plan, row: int, width: int, whole: bool) -> Group:
    example = plan.example(row)
    asked = example.request.messages
    prompt = Text()
    for message in asked:
        if len(asked) > 1:
            prompt.append(f"{message.get('role', '?')}: ", style="dim")
        prompt.append(clipped(_content(message), whole) + "\n")
    head = Text(f"\n{printable(example.id)}", style="dim")
    target = [Text(f"Target: {printable(example.target)}", style="green")] if example.target is not None else []
    panels = [
        Panel(Text(clipped(said(reply), whole)), title=name, title_align="left")
        for name, reply in zip("AB", plan.shown(row), strict=True)
    ]
    side: Any = Group(*panels)
    if width >= WIDE:
        side = Table.grid(expand=True)
        side.add_column(ratio=1)
        side.add_column(ratio=1)
        side.add_row(*panels)
    return Group(head, Padding(prompt, (0, 0, 0, 2)), *target, side, Text(HELP, style="dim"))


def _content(message: Any) -> str:
    from ..core import content_text

    return content_text(message.get("content"))


def said(reply: Reply) -> str:
    """What a reply says: its text, and its tool calls by name and arguments."""
    calls = [json.dumps(canonical_call(c), ensure_ascii=False) for c in reply.tool_calls]
    return "\n".join([*([reply.text] if reply.text else []), *calls])


def clipped(text: str, whole: bool) -> str:
    """The text without control characters; of a long one the beginning and the end, unless the `whole` is wanted."""
    clean = printable(text)
    if whole or len(clean) <= LONG:
        return clean
    return f"{clean[: LONG // 2]}\n[… {len(clean) - LONG:,} characters; m shows them …]\n{clean[-LONG // 2 :]}"


def printable(text: str) -> str:
    """The text with every control character but line ends and tabs made visible, so that no reply moves the cursor."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def _introduce(console: Console, plan: Plan, book: LabelFile) -> None:
    rows, differ = len(plan.rows), int(plan.differs[plan.rows].sum())
    console.print(
        f"{plan.small} against {plan.large}: {len(plan.data):,} rows, {plan.aside:,} of them set aside to make the "
        f"list of {len(plan.ways)} settings. On {rows - differ:,} of the other {rows:,} both come to the same answer; "
        f"that counts as equal and needs no label. Of the {differ:,} that differ, only those are asked that can move "
        "the bound. You see both replies without their models' names."
    )
    if book.verdicts:
        console.print(f"{len(book.verdicts)} labels found in {book.path}.", soft_wrap=True)
    if book.stale:
        console.print(f"{book.stale} lines of {book.path} are about other replies, and not used.", soft_wrap=True)
    at = standing(plan, book.verdicts)
    console.print(bound(plan, at, book))


def _conclude(
    console: Console, plan: Plan, at: Standing, book: LabelFile, found: Certificate, written: Sequence[Path]
) -> None:
    differ = int(plan.differs[plan.rows].sum())
    console.print(Text(f"\n{found.sentence}", style="bold" if found.certified else "bold yellow"))
    if at.certified is not None:
        share = percent(plan.ways[at.certified].share)
        console.print(
            f"{share} of traffic stays with {plan.small}. It rests on {at.labels} labels ({differ:,} replies differ), "
            "and on equal final answers being worth the same."
        )
    else:
        console.print(f"Until more is shown, serve {plan.large} alone.")
    console.print(f"Labels: {book.path}" + ("; go on any time." if at.row is not None else "."), soft_wrap=True)
    for path in written:
        console.print(f"Wrote {path}", soft_wrap=True)


def _state(plan: Plan, at: Standing, book: LabelFile, found: Certificate, written: Sequence[Path]) -> dict[str, Any]:
    rows = {plan.example(int(r)).id for r in plan.rows}
    return {
        "verdict": found.sentence,
        "certified": found.certified,
        "share": None if at.certified is None else plan.ways[at.certified].share,
        "labels": at.labels,
        "skipped": sum(v == "skip" and row in rows for row, v in book.verdicts.items()),
        "disagreements": int(plan.differs[plan.rows].sum()),
        "rows": len(plan.rows),
        "set_aside": plan.aside,
        "finished": at.row is None,
        "next": None if at.row is None else plan.example(at.row).id,
        "settings": [
            {"name": w.name, "share": w.share, "passed": r.passed, "p_value": t.p_value, "units_read": len(r.losses)}
            for w, r, t in zip(plan.ways, at.reads, found.tried, strict=False)
        ],
        "listed": [{"name": w.name, "share": w.share} for w in plan.ways],
        "labels_file": str(book.path),
        "written": [str(p) for p in written],
    }


def _save(plan: Plan, at: Standing, found: Certificate, out: Path) -> list[Path]:
    """Write certificate.json and serve.toml; beside the page of another study, in a folder of their own."""
    from ..config import dump, write_whole
    from ..study.job import endpoints
    from ..study.report.card import card
    from ..study.tried import Asked
    from ..study.ways import live

    assert at.certified is not None
    way = plan.ways[at.certified]
    folder = out / "labelled" if (out / "index.html").exists() else out
    peers = tuple(m for m in plan.data.models if m not in (plan.small, plan.large))
    asked = Asked(plan.small, plan.large, peers, plan.promise, plan.delta)
    parts = endpoints(plan.data, asked, {})
    model = way.candidate.model(parts, live(tuple(way.signals), parts), way.thresholds, ())
    write_whole(folder / "certificate.json", to_json(found).encode())
    rows = {name.lower(): text for name, text in card(found, f"{folder}/")}
    dump(model, folder / "serve.toml", extra={"certificate": rows})
    return [folder / "certificate.json", folder / "serve.toml"]


def _earlier(plan: Plan) -> int:
    """How many other studies there were of these data; labelling on for the same promise is no new one."""
    asked = [plan.data.hash, plan.small, plan.large, [w.name for w in plan.ways], plan.promise.level, plan.delta]
    own = hashlib.sha256(json.dumps(asked).encode()).hexdigest()
    before = ledger.earlier(plan.data.hash)
    if ledger.earlier(own):
        return max(0, before - 1)
    today = datetime.date.today().isoformat()
    ledger.remember(plan.data.hash, today, "sprat study --watch")
    ledger.remember(own, today, "sprat study --watch")
    return before


@contextmanager
def _working(console: Console, what: str) -> Generator[None]:
    if not console.is_terminal:
        yield
        return
    with console.status(what):
        yield


@contextmanager
def _keys() -> Generator[Callable[[], str]]:
    """A function that waits for a key: single ones on a terminal, else the first letter of a line; "" is the end."""
    try:
        import termios
        import tty
    except ImportError:  # Windows: lines
        yield _line
        return
    if not sys.stdin.isatty():
        yield _line
        return
    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    try:
        tty.setcbreak(number)
        yield lambda: _key(number)
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def _line() -> str:
    while True:
        try:
            line = sys.stdin.readline()
        except KeyboardInterrupt:
            return ""
        if not line:
            return ""
        if line.strip():
            return line.strip()[0].lower()


def _key(number: int) -> str:
    import select

    try:
        typed = os.read(number, 1)
        if typed == b"\x1b":  # an arrow or a function key: its whole sequence is one key
            while select.select([number], [], [], 0.02)[0]:
                os.read(number, 1)
            return "escape"
    except KeyboardInterrupt:
        return ""
    return "" if typed in (b"", b"\x04") else typed.decode("latin-1").lower()
