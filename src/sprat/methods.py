"""Lists every technique, decoder, signal, endpoint and encoder that is installed, plug-ins too."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from .core import Can, Endpoint, Signal, Technique

FOLDERS = ("combine", "decoding", "signals", "endpoints", "encoders")
TITLES = {
    "combine": "Techniques (combine): models to a model",
    "decoding": "Decoders (decoding): several models share every token",
    "signals": "Signals: trust in a reply, or ease of a request",
    "endpoints": "Endpoints: where answers come from",
    "encoders": "Encoders: texts to vectors",
    "other": "Other plug-ins",
}
_NEEDS = {"combine": Can.TEXT, "signals": Can.TEXT, "decoding": Can.LOGITS}
_PAPER = re.compile(r"arXiv\s+(\d{4}\.\d{4,5})")


@dataclass(frozen=True)
class Method:
    """One row of the table: `needs` is what it reads of a reply, `papers` are arXiv ids, `package` is "" for ours."""

    name: str
    folder: str
    summary: str
    papers: tuple[str, ...] = ()
    needs: str = "text"
    learns: bool = False
    package: str = ""

    def row(self) -> dict[str, Any]:
        """The method as JSON holds it."""
        return asdict(self) | {"papers": list(self.papers)}


def methods() -> list[Method]:
    """Every method, by folder and name; a plug-in that cannot be imported is listed with its error as the summary."""
    found = [_described(name, folder, factory) for folder in FOLDERS for name, factory in factories(folder).items()]
    return [*found, *_plugged()]


def factories(folder: str) -> dict[str, Any]:
    """The folder's public functions by name (its classes, where these are what one calls)."""
    room = import_module(f"{__package__}.{folder}")
    public = {name: getattr(room, name) for name in room.__all__}
    if folder == "encoders":
        return {n: public[n] for n in sorted(public) if n.endswith("Encoder") and n != "Encoder"}
    return {n: v for n, v in sorted(public.items()) if inspect.isfunction(v)}


def _described(name: str, folder: str, factory: Callable[..., Any] | type, package: str = "") -> Method:
    module = sys.modules[factory.__module__]
    doc = inspect.getdoc(module) or inspect.getdoc(factory) or ""
    made = factory if inspect.isclass(factory) else next(_classes(module, name), None)
    learns = hasattr(made, "fit") or "lessons" in inspect.signature(factory).parameters
    if folder == "encoders":
        learns = hasattr(module, "fit")
    told: Any = getattr(made, "needs", None)
    needs: Can | None = told if isinstance(told, Can) else _NEEDS.get(folder)  # lowest's are its parts'
    papers = tuple(dict.fromkeys(_PAPER.findall(doc)))
    summary = " ".join(doc.split("\n\n")[0].split())
    return Method(name, folder, summary, papers, needs.name.lower() if needs is not None else "", learns, package)


def _classes(module: Any, use: str) -> Iterator[type]:
    return (v for v in vars(module).values() if inspect.isclass(v) and getattr(v, "use", None) == use)


def _folder(thing: Any) -> str:
    made = thing if inspect.isclass(thing) else next(_classes(sys.modules[thing.__module__], thing.__name__), object)
    kinds = ((Signal, "signals"), (Endpoint, "endpoints"), (Technique, "combine"))
    return next((folder for kind, folder in kinds if issubclass(made, kind)), "other")


def _plugged() -> Iterator[Method]:
    for point in sorted(entry_points(group="sprat"), key=lambda p: p.name):
        package = point.dist.name if point.dist else point.value
        try:
            thing = point.load()
            yield _described(point.name, _folder(thing), thing, package)
        except Exception as error:  # whatever a stranger's module raises
            yield Method(point.name, "other", f"cannot be imported: {error}", package=package)


def page() -> str:
    """The Markdown page of the project's own methods (docs/methods.md)."""
    lines = ["# Methods", "", "Written by `make docs` from the modules' docstrings (`sprat methods --markdown`)."]
    for folder in FOLDERS:
        lines += [
            "",
            f"## {TITLES[folder]}",
            "",
            "| name | needs | learns | paper | what it does |",
            "|---|---|---|---|---|",
        ]
        for m in methods():
            if m.folder == folder and not m.package:
                papers = ", ".join(f"[{p}](https://arxiv.org/abs/{p})" for p in m.papers)
                summary = m.summary.replace("|", "\\|")
                lines.append(f"| `{m.name}` | {m.needs} | {'yes' if m.learns else ''} | {papers} | {summary} |")
    return "\n".join(lines) + "\n"
