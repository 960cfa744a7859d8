"""The ledger: every score of every document and what was decided, a Parquet file beside each chunk of the data.

A folder of curated data holds, for each chunk, `kept/N.jsonl.gz`, `dropped/N.jsonl.gz` (rows as they would have been
kept, in the same order), `ledger/N.parquet`, written last, and `quarantine/N.jsonl` where lines could not be read;
`run.json` says which recipe and files they are of.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import BadInput, MissingExtra, nearest
from ..files import whole
from .corpus import Bad
from .rules import Edit, Limit

_ENDINGS = {"kept": ".jsonl.gz", "dropped": ".jsonl.gz", "ledger": ".parquet"}  # in the order in which they change
_PLAIN = ("id", "file", "line", "characters", "kept", "reasons", "restored", "edits")


@dataclass(frozen=True, slots=True)
class Entry:
    """A document in the ledger: where it came from, what was decided and why, its scores, and every edit with the line
    that stood there; `restored` names the reasons that were overruled."""

    id: str
    file: str
    line: int
    characters: int
    kept: bool
    reasons: tuple[str, ...]
    restored: tuple[str, ...]
    scores: dict[str, float]
    edits: tuple[tuple[int, str, str], ...]


@dataclass(frozen=True, slots=True)
class Scored:
    """A document with its row as it is kept."""

    entry: Entry
    row: dict[str, Any]


def edits_of(edits: Sequence[Edit], text: str) -> tuple[tuple[int, str, str], ...]:
    """Edits with the line that stood there, so that each can be taken back."""
    lines = text.splitlines()
    return tuple((e.line, e.why, lines[e.line]) for e in edits)


@dataclass(frozen=True)
class Folder:
    """A folder of curated data."""

    path: Path

    def create(self, about: Mapping[str, Any]) -> None:
        """Begin, or go on with, what `about` describes; raises BadInput where something else is there."""
        told = self.path / "run.json"
        if told.exists():
            before = self.about()
            self.mend()
            for key in ("recipe", "files"):
                if before.get(key) != about[key]:
                    what = (
                        "of another recipe" if key == "recipe" else "made of other files, or of these before a change"
                    )
                    raise BadInput(f"{self.path} holds data {what}.", hint="Give another folder with --out.")
            return
        if self.path.exists() and any(self.path.iterdir()):
            raise BadInput(f"{self.path} holds something else.", hint="Give an empty folder, or a new one, with --out.")
        for name in ("kept", "dropped", "ledger", "quarantine"):
            (self.path / name).mkdir(parents=True, exist_ok=True)
        self._tell(about)

    def about(self) -> dict[str, Any]:
        """What run.json says; raises BadInput where this is no such folder."""
        told = self.path / "run.json"
        try:
            return json.loads(told.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise BadInput(
                f"{self.path} holds no curated data.", hint="Give a folder that sprat curate wrote."
            ) from None

    def _tell(self, about: Mapping[str, Any]) -> None:
        data = json.dumps(about, indent=2, ensure_ascii=False).encode() + b"\n"
        whole(self.path / "run.json", lambda file: file.write(data), lasting=True)

    def told(self, **more: Any) -> None:
        """Add to what run.json says."""
        self._tell({**self.about(), **more})

    @property
    def limits(self) -> tuple[Limit, ...]:
        """The limits under which it was judged."""
        return tuple(Limit(score, **said) for score, said in self.about()["recipe"]["limits"].items())

    def done(self, number: int) -> bool:
        """Whether a chunk is written."""
        return self._part("ledger", number, ".parquet").exists()

    def numbers(self) -> list[int]:
        """The chunks that are written."""
        return sorted(int(p.stem) for p in (self.path / "ledger").glob("*.parquet"))

    def _part(self, kind: str, number: int, ending: str) -> Path:
        return self.path / kind / f"{number:06d}{ending}"

    def write(self, number: int, documents: Sequence[Scored], bad: Sequence[Bad]) -> None:
        """Write a chunk, its ledger last."""
        if bad:
            said = "".join(json.dumps(asdict(b), ensure_ascii=False) + "\n" for b in bad).encode()
            whole(self._part("quarantine", number, ".jsonl"), lambda file: file.write(said), lasting=True)
        self.settle(number, documents)

    def settle(self, number: int, documents: Sequence[Scored]) -> None:
        """Write which documents of a chunk are kept, and the ledger; all three files change, or none does."""
        for kind, kept in (("kept", True), ("dropped", False)):
            rows = [json.dumps(d.row, ensure_ascii=False) + "\n" for d in documents if d.entry.kept == kept]
            packed = gzip.compress("".join(rows).encode(), 3, mtime=0)
            whole(self._next(kind, number), lambda file, data=packed: file.write(data), lasting=True)
        table = _table([d.entry for d in documents], self.limits)
        whole(self._next("ledger", number), table.write_parquet, lasting=True)
        self._move(number)

    def _next(self, kind: str, number: int) -> Path:
        part = self._part(kind, number, _ENDINGS[kind])
        return part.with_name(f"{part.name}.next")

    def _move(self, number: int) -> None:
        for kind in _ENDINGS:
            if (new := self._next(kind, number)).exists():
                os.replace(new, self._part(kind, number, _ENDINGS[kind]))

    def mend(self) -> None:
        """Finish, or take back, what a killed command began: the ledger's new file is written last and moved last."""
        for kind in (*_ENDINGS, "quarantine"):
            for torn in (self.path / kind).glob(".*.partial"):
                torn.unlink(missing_ok=True)
        begun = {int(p.name.split(".")[0]) for kind in _ENDINGS for p in (self.path / kind).glob("*.next")}
        for number in sorted(begun):
            if self._next("ledger", number).exists():
                self._move(number)
            else:
                for kind in _ENDINGS:
                    self._next(kind, number).unlink(missing_ok=True)

    def rows(self, number: int, kept: bool) -> list[dict[str, Any]]:
        """A chunk's rows, those kept or those dropped."""
        kind = "kept" if kept else "dropped"
        path = self._part(kind, number, _ENDINGS[kind])
        with gzip.open(path, "rt", encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def frame(self, number: int) -> Any:
        """A chunk's ledger as a polars frame."""
        return polars().read_parquet(self._part("ledger", number, ".parquet"))

    def entries(self, number: int) -> list[Entry]:
        """A chunk's ledger."""
        return [_entry(row) for row in self.frame(number).iter_rows(named=True)]

    def documents(self, number: int) -> list[Scored]:
        """A chunk's documents, in order."""
        rows = {kept: iter(self.rows(number, kept)) for kept in (True, False)}
        return [Scored(entry, next(rows[entry.kept])) for entry in self.entries(number)]

    def quarantined(self) -> Iterator[Bad]:
        """Lines that could not be read."""
        for path in sorted((self.path / "quarantine").glob("*.jsonl")):
            for line in path.read_text(encoding="utf-8").splitlines():
                yield Bad(**json.loads(line))

    def score(self, name: str) -> str:
        """A score's full name: 'alpha' is 'gopher.alpha' where only one rule has it; raises BadInput."""
        known = [limit.score for limit in self.limits]
        meant = [s for s in known if s == name or s.split(".", 1)[1] == name]
        if len(meant) == 1:
            return meant[0]
        raise BadInput(
            f"'{name}' is {'several scores' if meant else 'no score'} of {self.path}.",
            hint=f"Say which: {', '.join(meant)}." if meant else nearest(name, known),
        )


def opened(path: str | Path) -> Folder:
    """A folder that sprat curate wrote; raises BadInput where it is none, or not finished."""
    folder = Folder(Path(path))
    if not folder.about()["finished"]:
        raise BadInput(f"{path} is not finished.", hint="Run the sprat curate that began it again: it goes on.")
    folder.mend()
    return folder


def _table(entries: Iterable[Entry], limits: Sequence[Limit]) -> Any:
    pl = polars()
    edit = pl.Struct({"line": pl.Int32, "why": pl.String, "was": pl.String})
    types = (
        pl.String,
        pl.String,
        pl.Int64,
        pl.Int64,
        pl.Boolean,
        pl.List(pl.String),
        pl.List(pl.String),
        pl.List(edit),
    )
    schema = dict(zip(_PLAIN, types, strict=True)) | {limit.score: pl.Float64 for limit in limits}
    rows = [
        {
            **{k: getattr(e, k) for k in _PLAIN[:5]},
            "reasons": list(e.reasons),
            "restored": list(e.restored),
            "edits": [{"line": n, "why": why, "was": was} for n, why, was in e.edits],
            **e.scores,
        }
        for e in entries
    ]
    return pl.DataFrame(rows, schema=schema)


def _entry(row: Mapping[str, Any]) -> Entry:
    edits = tuple((e["line"], e["why"], e["was"]) for e in row["edits"])
    scores = {k: v for k, v in row.items() if k not in _PLAIN}
    plain = {k: row[k] for k in _PLAIN[:5]}
    return Entry(**plain, reasons=tuple(row["reasons"]), restored=tuple(row["restored"]), scores=scores, edits=edits)


def polars() -> Any:
    """Polars; raises MissingExtra where it is not installed."""
    try:
        import polars
    except ModuleNotFoundError:
        raise MissingExtra("curate", "The ledger of curated data") from None
    return polars
