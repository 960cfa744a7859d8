"""What the pages of findings share: an offline page with a heading and sections, its figures and tables, its folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ...config import write_whole
from ...measure.resampling import Estimate
from .charts import Drawing
from .markup import Content, Html, join, tag


def sheet(
    title: str,
    kicker: str,
    heading: str,
    told: Iterable[str],
    sections: Iterable[tuple[str, Content]],
    *,
    frame: str | None = None,
    foot: str | None = None,
    style: str = "",
) -> str:
    """The whole page; `frame` is a class of the heading, `style` what the page adds to page.css."""
    css = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    top = [
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content="default-src 'none'; style-src 'unsafe-inline'"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Html(css + style)),
    ]
    head = [tag("p", kicker, class_="kicker"), tag("h1", heading, class_=frame), [tag("p", t) for t in told]]
    parts = [tag("section", tag("h2", name), content) for name, content in sections]
    body = [tag("header", head), tag("main", parts), tag("footer", tag("p", foot)) if foot else None]
    return "<!doctype html>\n" + tag("html", tag("head", top), tag("body", body), lang="en") + "\n"


def figure(drawing: Drawing, caption: str) -> Html:
    """A chart in the page's own colours, with its words for readers that don't see it."""
    svg = drawing.inline.replace("<svg ", '<svg class="small" ', 1).replace('class="marks"', "", 1)
    box = tag("div", Html(svg), class_="box", role="img", aria_label=drawing.words, tabindex="0")
    return join(tag("figure", box, tag("figcaption", caption)))


def grid(head: Sequence[str], rows: Iterable[Sequence[str | Estimate]]) -> Html:
    """A table whose first column names the row; an estimate has its interval beneath it, which keeps columns narrow."""
    top = tag("thead", tag("tr", [tag("th", h, class_="n" if i else None, scope="col") for i, h in enumerate(head)]))
    lines = [
        tag("tr", tag("th", _cell(row[0]), scope="row"), [tag("td", _cell(cell), class_="n") for cell in row[1:]])
        for row in rows
    ]
    return tag("div", tag("table", top, tag("tbody", lines)), class_="box", tabindex="0")


def _cell(cell: str | Estimate) -> Content:
    if isinstance(cell, str):
        return cell
    return [f"{cell.value:.3f}", tag("small", f"[{cell.low:.3f}, {cell.high:.3f}]")]


def number(e: Estimate) -> str:
    """'0.108 [0.093, 0.124]'."""
    return f"{e.value:.3f} [{e.low:.3f}, {e.high:.3f}]"


def notes(told: Sequence[str]) -> Iterable[tuple[str, Content]]:
    """The section of a page's notes, where there are any."""
    if told:
        yield "How the rows were read", tag("ul", [tag("li", n) for n in told])


def write(folder: str | Path, drawn: Mapping[str, Drawing], files: Mapping[str, str]) -> Path:
    """Write the charts as SVG and PNG, then the files, each whole or not at all; BadInput where it can't."""
    path = Path(folder)
    for name, drawing in drawn.items():
        write_whole(path / "charts" / f"{name}.svg", drawing.svg.encode())
        write_whole(path / "charts" / f"{name}.png", drawing.png)
    for name, text in files.items():
        write_whole(path / name, text.encode())
    return path
