"""What a study leaves for people: facts about the page, the table, the charts and the files."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html import unescape
from pathlib import Path

import example
import pytest

from sprat.errors import BadInput, MissingExtra
from sprat.study import certificate
from sprat.study.report import labels, numbers, save, style, terminal
from sprat.study.report.card import card, walked
from sprat.study.report.charts import drawings
from sprat.study.report.markup import Html, tag
from sprat.study.report.page import page
from sprat.study.result import Interval, Result

VARIANTS = {
    "shown": example.result(prompt=example.NASTY),
    "refused": example.result(shown=False),
    "unpriced": example.result(priced=False, kind="within"),
    "bare": example.plainer(example.result()),
}


def said(text: str) -> str:
    return unescape(text).replace("\u00a0", " ")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("studies")
    return {name: save.save(found, base / name) for name, found in VARIANTS.items()}


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest, folders: dict[str, Path]) -> tuple[Result, str]:
    return VARIANTS[request.param], (folders[request.param] / "index.html").read_text()


def test_the_page_refers_to_nothing_outside_itself(variant: tuple[Result, str]):
    _, html = variant
    assert not re.search(r"https?:|//\w+\.|@import|<link|<img|<iframe|<object", html)
    assert all(target.startswith("#") for target in re.findall(r'(?:href|src)="([^"]*)"', html))
    assert all(inner.startswith("#") for inner in re.findall(r"url\(([^)]*)\)", html))


def test_the_page_is_small(variant: tuple[Result, str]):
    assert len(variant[1].encode()) < 600_000


def test_the_page_says_the_verdict_and_the_hash(variant: tuple[Result, str]):
    found, html = variant
    assert found.verdict in said(html)
    assert found.certificate.data_hash in html
    assert found.command in said(html)


def test_the_page_shows_every_way_that_was_tried(variant: tuple[Result, str]):
    found, html = variant
    table = said(html).partition('id="ways"')[2].partition("</table>")[0]
    assert all(f">{way.name}</th>" in table for way in found.ways)


def test_every_link_of_the_page_has_its_target_and_ids_are_single(variant: tuple[Result, str]):
    ids = re.findall(r'\bid="([^"]+)"', variant[1])
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', variant[1])) <= set(ids)


def test_a_prompt_with_html_is_shown_as_text(folders: dict[str, Path]):
    html = (folders["shown"] / "index.html").read_text()
    assert example.NASTY not in html
    assert example.NASTY in unescape(html)
    assert html.count("<script") == 1


def test_every_chart_of_the_page_is_said_in_words(variant: tuple[Result, str]):
    found, html = variant
    drawn = drawings(found)
    assert html.count('role="img"') == len(drawn)
    assert all(d.words in said(html) for d in drawn.values())


def test_a_refusal_says_not_shown_and_what_it_would_take():
    html = said(page(VARIANTS["refused"], drawings(VARIANTS["refused"])))
    assert "needs about" in html
    assert "about 2,300" in html
    assert 'class="refused"' in html


def test_an_unknown_price_is_named(folders: dict[str, Path]):
    html = said((folders["unpriced"] / "index.html").read_text())
    assert f"Price unknown: {example.LARGE}" in html
    assert f"share of calls to {example.LARGE}" in html


def test_without_weak_parts_the_page_says_that_this_is_no_proof(folders: dict[str, Path]):
    assert "no proof that there is none" in (folders["bare"] / "index.html").read_text()


def test_a_pair_without_peers_is_drawn(folders: dict[str, Path]):
    assert sorted(p.name for p in (folders["bare"] / "charts").iterdir()) == [
        "frontier.png", "frontier.svg", "promise.png", "promise.svg",
    ]  # fmt: skip


def test_a_way_without_cost_is_named_below_the_frontier():
    found = VARIANTS["shown"]
    ways = tuple(replace(w, cost=None, saving=None) if w.name.startswith("herring") else w for w in found.ways)
    html = said(page(replace(found, ways=ways), drawings(replace(found, ways=ways))))
    assert f"cost is unknown: {example.PEER} alone" in html


def test_study_json_holds_the_result(folders: dict[str, Path]):
    found = json.loads((folders["shown"] / "study.json").read_text())
    assert found == json.loads(json.dumps(VARIANTS["shown"].to_dict()))


def test_study_json_writes_null_for_what_is_no_number():
    ways = (replace(VARIANTS["shown"].ways[0], kept=Interval(float("nan"), 0.0, float("inf"))),)
    found = json.loads(save.as_json(replace(VARIANTS["shown"], ways=ways)))
    assert found["ways"][0]["kept"] == {"value": None, "low": 0.0, "high": None}


def test_the_saved_certificate_verifies(folders: dict[str, Path]):
    for name, found in VARIANTS.items():
        read = certificate.from_json((folders[name] / "certificate.json").read_text())
        assert read == found.certificate
        assert certificate.check(read) == []


def test_charts_are_images(folders: dict[str, Path]):
    for path in (folders["shown"] / "charts").glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")
        assert path.with_suffix(".svg").read_text().startswith("<svg")


def test_saving_again_keeps_other_files_and_drops_old_charts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made = {"charts/promise.svg": b"1", "charts/weak.svg": b"1", "index.html": b"1"}
    monkeypatch.setattr(save, "contents", lambda *_: made)
    save.save(VARIANTS["bare"], tmp_path / "study")
    (tmp_path / "study" / "serve.toml").write_text("mine")
    del made["charts/weak.svg"]
    save.save(VARIANTS["bare"], tmp_path / "study")
    files = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    assert files == ["study/charts/promise.svg", "study/index.html", "study/serve.toml"]


@pytest.mark.parametrize("where", ["file", "file/study"])
def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(save, "contents", lambda *_: {"index.html": b"1"})
    with pytest.raises(BadInput, match="can't be written"):
        save.save(VARIANTS["bare"], tmp_path / where)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_an_interruption_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    class Interrupting(dict):  # type: ignore[type-arg]
        def items(self):
            yield "index.html", b"1"
            raise KeyboardInterrupt

    monkeypatch.setattr(save, "contents", lambda *_: Interrupting())
    with pytest.raises(KeyboardInterrupt):
        save.save(VARIANTS["bare"], tmp_path / "study")
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "altair", None)
    with pytest.raises(MissingExtra, match=r"sprat\[study\]"):
        style.altair()


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", VARIANTS)
def test_the_terminal_keeps_its_width_and_has_no_colour_codes(name: str, width: int):
    text = terminal.plain(VARIANTS[name], width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "\x1b" not in text


def test_the_terminal_shows_verdict_interval_and_card():
    found = VARIANTS["shown"]
    text = terminal.plain(found, width=120)
    assert found.verdict in " ".join(text.split())
    assert numbers.plus_minus(found.chosen.quality) in text
    assert all(label in text for label, _ in card(found.certificate))


def test_the_card_says_what_is_claimed_and_how_to_check_it():
    rows = dict(card(VARIANTS["shown"].certificate, "out/"))
    assert rows["Claim"].startswith("mean quality over all traffic like these rows is at least 98 %")
    assert rows["Verify"] == "sprat certify check out/"
    assert dict(card(VARIANTS["refused"].certificate))["Claim"].startswith("none")


def test_the_walk_on_the_card_ends_at_the_first_failure():
    steps = walked(VARIANTS["shown"].certificate)
    assert [s.passed for s in steps] == [True] * (len(steps) - 1) + [False]


def test_numbers_have_true_minus_signs_and_no_false_zero():
    assert numbers.plus_minus(Interval(-0.0412, -0.05, -0.03)) == "−4.1 ± 1.1"
    assert numbers.minus(-0.001, 1) == "0.0"
    assert numbers.plus_minus(None) == numbers.plus_minus(Interval(float("nan"), 0, 1)) == "–"


def test_plus_minus_covers_the_longer_side_of_an_interval():
    assert numbers.plus_minus(Interval(0.9, 0.87, 0.92)) == "90.0 ± 3.0"


def test_a_skewed_interval_is_written_with_its_ends():
    assert numbers.plus_minus(Interval(0.061, 0.02, 0.134)) == "6.1 [2.0, 13.4]"


def test_amounts_keep_three_digits():
    assert [numbers.dollars(x) for x in (4.1, 0.01234, 1660.0, 0.0)] == ["$4.10", "$0.0123", "$1,660", "$0.00"]


def test_labels_do_not_hide_each_other():
    placed = labels.place([(("one point",), 100, 100), (("another one",), 104, 103)], [], 300, 200)
    tops = sorted(p.y for p in placed)
    assert placed[0].align != placed[1].align or tops[1] - tops[0] >= labels.LINE


def test_markup_escapes_text_and_attributes_once():
    assert tag("p", "<b>&", title='"') == '<p title="&quot;">&lt;b&gt;&amp;</p>'
    assert tag("p", Html("<b></b>")) == "<p><b></b></p>"


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    f"--{flag}"
    for flag in (
        "headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
        "disable-component-update", "disable-sync", "disable-default-apps", "allow-file-access-from-files",
        "enable-logging=stderr", "host-resolver-rules=MAP * ~NOTFOUND", "virtual-time-budget=5000", "dump-dom",
    )
]  # fmt: skip
FRAME = """<!doctype html><iframe id=f style="width:{width}px;height:900px;border:0" src="{name}/index.html"></iframe>
<script>onload = () => {{
const d = document.getElementById("f").contentDocument, count = s => d.querySelectorAll(s).length;
document.title = [d.documentElement.scrollWidth, count("figure svg"), count("th button")];
}};</script>"""
browser = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")


def opened(folder: Path, name: str, width: int, profile: Path) -> tuple[list[int], list[str]]:
    """The page's width, charts and sort buttons in a frame so wide, and what the browser's console said.

    The page's own policy forbids every request, and the console tells of each that is tried.
    """
    frame = folder / f"frame-{name}-{width}.html"
    frame.write_text(FRAME.format(name=name, width=width))
    call = [str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}", frame.as_uri()]
    ran = subprocess.run(call, capture_output=True, text=True, timeout=120)
    title = re.search(r"<title>(\d+),(\d+),(\d+)</title>", ran.stdout)
    assert title, ran.stderr[-2000:]
    return [int(x) for x in title.groups()], [line for line in ran.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.slow
@browser
@pytest.mark.parametrize("width", [390, 1200])
@pytest.mark.parametrize("name", VARIANTS)
def test_a_browser_fits_the_page_to_its_width_in_silence(
    folders: dict[str, Path], tmp_path: Path, name: str, width: int
):
    (wide, charts, buttons), console = opened(folders[name].parent, name, width, tmp_path / "profile")
    assert wide <= width
    assert charts == len(drawings(VARIANTS[name]))
    assert buttons > 0
    assert console == []


@pytest.mark.slow
@browser
def test_the_browser_would_tell_of_a_request(folders: dict[str, Path], tmp_path: Path):
    html = (folders["bare"] / "index.html").read_text()
    (tmp_path / "asking").mkdir()
    asking = html.replace("</body>", '<img src="http://example.test/x.png"></body>')
    (tmp_path / "asking" / "index.html").write_text(asking)
    assert "violates" in opened(tmp_path, "asking", 800, tmp_path / "profile")[1][0]
