"""The dashboard in a real Chromium: keyboard, phone, dark and light, cards, what comes from outside, live numbers."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dashboard_browser import BROKEN, HOLDING, PASSWORD, Shown, browser
from running import HELLO
from stored import made
from week import PLANTED, write

from sprat.gateway.ledger.store import Store

pytestmark = pytest.mark.slow
SECTIONS = ["Promise", "Spend and saving", "Models", "Latency", "Budgets", "Where small failed", "Decisions"]
CONTRAST = (Path(__file__).parent / "contrast.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory, chromium: Any) -> Iterator[Shown]:
    with Shown(tmp_path_factory.mktemp("full"), 900, HOLDING) as shown:
        yield shown


@pytest.fixture
def page(full: Shown, chromium: Any) -> Iterator[Any]:
    found = full.log_in(full.page(chromium))
    week(found)
    yield found
    found.context.close()


def week(page: Any) -> None:
    """Look at seven days, all of them read."""
    page.locator("#windows label", has_text="7 days").click()
    page.locator("#verdict", has_text="in the last 7 days").wait_for()
    while "Still" in page.inner_text("#asof"):
        page.wait_for_timeout(50)


def at(page: Any) -> str:
    """What has the focus, in words."""
    return page.evaluate("document.activeElement.textContent.trim() || document.activeElement.id")


def test_a_wrong_password_is_said_and_told_to_screen_readers(full: Shown, chromium: Any) -> None:
    page = full.page(chromium)
    page.fill("#password", "not the password")
    page.keyboard.press("Enter")
    assert page.locator("[role=alert]").inner_text() == "That is not the password."
    page.context.close()


def test_the_login_needs_no_script(full: Shown, chromium: Any) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{full.url}/sprat/")
    page.fill("#password", PASSWORD)
    page.click("button")
    assert page.url == f"{full.url}/sprat/"
    context.close()


def test_logging_out_ends_at_the_login(page: Any) -> None:
    page.click("text=Log out")
    page.locator("#password").wait_for()
    page.goto(page.url.replace("/login", "/"))
    assert page.url.endswith("/sprat/login")


def test_a_post_from_another_page_is_refused(full: Shown, page: Any, tmp_path: Path) -> None:
    with Shown(tmp_path) as other:  # the same site on another port, so that even a strict cookie is sent
        evil = page.context.new_page()
        evil.goto(f"{other.url}/healthz")
        answers: list[int] = []
        evil.on("response", lambda answer: answers.append(answer.status))
        evil.evaluate(
            f"""() => {{ const form = document.createElement("form"); form.method = "post";
            form.action = "{full.url}/sprat/logout"; document.body.append(form); form.submit(); }}"""
        )
        evil.locator("text=did not come from").wait_for()
    assert answers == [403]
    page.reload()
    page.locator("#asof", has_text="as of").wait_for()


def test_the_whole_page_is_reached_by_keyboard(page: Any) -> None:
    page.reload()
    page.locator("#decisions-body .open").first.wait_for()
    seen: list[str] = []
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.append(at(page))
        if re.match(r"\d\d:\d\d:\d\d", seen[-1]):
            break
    assert seen[0] == "Skip to the numbers"
    assert [s for s in seen if s in SECTIONS] == SECTIONS
    assert re.match(r"\d\d:\d\d:\d\d", seen[-1])


def test_the_focus_can_be_seen(page: Any) -> None:
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_the_window_is_chosen_with_arrow_keys_and_kept_over_a_reload(page: Any) -> None:
    page.focus("input[value=week]")
    page.keyboard.press("ArrowRight")
    page.locator("#verdict", has_text="30 days").wait_for()
    page.reload()
    page.locator("#verdict", has_text="30 days").wait_for()


def test_the_arrow_keys_read_the_bars(page: Any) -> None:
    page.focus("[role=slider]")
    page.keyboard.press("End")
    last = page.get_attribute("[role=slider]", "aria-valuetext")
    page.keyboard.press("ArrowLeft")
    before = page.get_attribute("[role=slider]", "aria-valuetext")
    assert "$" in before or "no requests" in before
    assert before != last
    assert page.inner_text(".reading") == before
    assert page.evaluate("document.activeElement.getAttribute('role')") == "slider"


def test_a_card_opens_with_enter_closes_with_escape_and_gives_the_focus_back(page: Any) -> None:
    row = page.locator("#decisions-body .open").nth(3)
    row.focus()
    page.keyboard.press("Enter")
    page.locator("dialog[open]").wait_for()
    assert "likely quality" in page.inner_text("dialog pre")
    assert at(page) == "Close"
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    assert row.evaluate("(e) => e === document.activeElement")


def test_the_focus_stays_in_the_open_card(page: Any) -> None:
    page.locator("#decisions-body .open").first.click()
    page.locator("dialog[open]").wait_for()
    for _ in range(8):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement === document.body || !!document.activeElement.closest('dialog')")


def test_the_arrow_keys_go_from_card_to_card(page: Any) -> None:
    page.locator("#decisions-body .open").first.click()
    first = page.locator("#card-title").inner_text()
    page.keyboard.press("ArrowRight")
    page.locator("#card-title").filter(has_not_text=first).wait_for()


def test_no_prompt_is_shown_where_none_is_stored(page: Any) -> None:
    page.locator("#decisions-body .open").first.click()
    page.locator("dialog[open]").wait_for()
    assert "Prompt and reply" not in page.inner_text("dialog")


@pytest.mark.parametrize("width", [320, 360])
@pytest.mark.parametrize("case", ["full", "broken", "empty"])
def test_a_phone_needs_no_scrolling_sideways(tmp_path: Path, chromium: Any, width: int, case: str) -> None:
    n, promise = {"full": (300, HOLDING), "broken": (300, BROKEN), "empty": (0, None)}[case]
    with Shown(tmp_path, n, promise) as shown:
        page = shown.page(chromium, size=(width, 740))
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        shown.log_in(page)
        week(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if n:
            page.locator("#decisions-body .open").first.click()
            page.locator("dialog[open]").wait_for()
            assert page.evaluate("(d => d.scrollWidth <= d.clientWidth)(document.querySelector('dialog'))")
        page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("promise", [HOLDING, BROKEN], ids=["holding", "broken"])
def test_all_text_has_contrast(tmp_path: Path, chromium: Any, scheme: str, promise: dict[str, Any]) -> None:
    with Shown(tmp_path, 300, promise) as shown:
        page = shown.page(chromium, scheme)
        assert page.evaluate(CONTRAST)["low"] == []
        shown.log_in(page)
        week(page)
        found = page.evaluate(CONTRAST)
        assert found["seen"] > 150
        assert found["low"] == []
        page.locator("tr.failed .open, #decisions-body .open").first.click()
        page.locator("dialog[open]").wait_for()
        assert page.evaluate(CONTRAST)["low"] == []
        page.context.close()


def test_dark_and_light_differ(full: Shown, chromium: Any) -> None:
    grounds: set[str] = set()
    for scheme in ("light", "dark"):
        page = full.page(chromium, scheme)
        grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        page.context.close()
    assert len(grounds) == 2


def test_nothing_is_asked_of_anywhere_else(full: Shown, chromium: Any) -> None:
    context = chromium.new_context()
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(f"{full.url}/sprat/")
    week(full.log_in(page))
    page.locator("#decisions-body .open").first.click()
    page.locator("dialog[open]").wait_for()
    assert {url for url in asked if not url.startswith(full.url)} == set()
    assert len(asked) > 8
    assert said == []
    context.close()


def test_what_comes_from_outside_is_text(tmp_path: Path, chromium: Any) -> None:
    card = {"asks": {"model": PLANTED, "because": PLANTED}, "facts": {PLANTED: PLANTED}, "trusts": []}
    planted = dict.fromkeys(("asked", "model", "way", "thread", "key"), PLANTED)
    with Shown(tmp_path, 0, HOLDING | {"sentence": f"Holding: {PLANTED}", "watched": PLANTED}) as shown:
        with Store.read(shown.path) as store:
            now = time.time()
            write(store, [made(1, at=now - 9, **planted, card=card), made(2, at=now - 5, status=502, error=PLANTED)])
            store.label("x1", PLANTED, 0.0, PLANTED)
        page = shown.page(chromium)
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        shown.log_in(page)
        week(page)
        page.locator("#failures-body .open").first.click()
        page.locator("dialog[open]").wait_for()
        assert page.inner_text("body").count("<script>") >= 8
        assert page.locator("main script, main img, dialog script, dialog img").count() == 0
        assert "planted" not in page.title()
        assert said == []
        page.context.close()


def test_a_script_in_the_page_would_not_run(page: Any) -> None:
    blocked = page.evaluate(
        """() => { const s = document.createElement("script");
        try { s.textContent = "window.planted = 1"; document.body.append(s); } catch { return "refused"; }
        return window.planted ? "ran" : "blocked"; }"""
    )
    assert blocked in ("refused", "blocked")


def test_a_new_request_is_shown_without_a_reload(tmp_path: Path, chromium: Any) -> None:
    with Shown(tmp_path) as shown:
        page = shown.log_in(shown.page(chromium))
        page.locator("#decisions-body", has_text="No decisions yet").wait_for()
        assert shown.post("/v1/chat/completions", {"model": "auto", "messages": HELLO})[0] == 200
        page.locator("#decisions-body .open").first.wait_for()
        page.locator("#facts div", has_text=re.compile("0 failed.*|requests")).locator(
            "dd", has_text=re.compile("^1")
        ).wait_for()
        page.context.close()


def test_an_open_card_and_the_focus_outlive_a_refresh(tmp_path: Path, chromium: Any) -> None:
    with Shown(tmp_path, 60, HOLDING) as shown:
        page = shown.log_in(shown.page(chromium))
        page.locator("#decisions-body .open").nth(2).focus()
        before = page.evaluate("document.activeElement.closest('tr').dataset.key")
        shown.post("/v1/chat/completions", {"model": "auto", "messages": HELLO})
        page.locator("#decisions-body tr", has_text="auto").nth(0).wait_for()
        page.wait_for_timeout(3500)
        assert page.evaluate("document.activeElement.closest('tr').dataset.key") == before
        page.context.close()


def test_a_gateway_that_has_gone_is_said_with_the_time_of_the_numbers(tmp_path: Path, chromium: Any) -> None:
    with Shown(tmp_path, 30, HOLDING) as shown:
        page = shown.log_in(shown.page(chromium))
        page.context.set_offline(True)
        page.locator("#alive", has_text="can't be reached").wait_for()
        assert re.search(r"What is shown is from \d\d:\d\d", page.inner_text("#alive"))
        assert page.inner_text("#announce") == "The gateway can't be reached."
        page.context.set_offline(False)
        page.locator("#alive", has_text="answering").wait_for()
        page.context.close()


def test_a_hidden_page_does_not_ask(page: Any) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate(
        "Object.defineProperty(document, 'hidden', {value: true});document.dispatchEvent(new Event('visibilitychange'))"
    )
    page.wait_for_timeout(500)
    asked.clear()
    page.wait_for_timeout(3500)
    assert asked == []


def test_a_broken_promise_is_the_first_thing_said(tmp_path: Path, chromium: Any) -> None:
    with Shown(tmp_path, 60, BROKEN) as shown:
        page = shown.log_in(shown.page(chromium))
        assert page.inner_text("#verdict").startswith("The promise is broken: the reference answers")
        assert page.title().startswith("(!)")
        assert "about 1,240 more labelled pairs, 124 of them marked by a person" in page.inner_text("#promise-body")
        page.context.close()


def test_the_empty_page_says_what_to_do(tmp_path: Path, chromium: Any) -> None:
    with Shown(tmp_path) as shown:
        page = shown.log_in(shown.page(chromium))
        said = page.inner_text("main")
        assert "Point an application at the base URL" in said
        assert "sprat keys create" in said
        assert "Not watched" in said
        page.context.close()


def test_an_unknown_cost_is_named_and_is_not_zero(tmp_path: Path, chromium: Any) -> None:
    with Shown(tmp_path) as shown:
        with Store.read(shown.path) as store:
            write(store, [made(1, at=time.time() - 9, cost=None)])
        page = shown.log_in(shown.page(chromium))
        page.locator("#money-caption", has_text="1 of 1 requests have an unknown cost").wait_for()
        assert "unknown" in page.locator("#decisions-body td").nth(2).inner_text()
        page.context.close()


def test_the_decisions_are_filtered(page: Any) -> None:
    page.select_option("[name=kind]", "failed")
    page.locator("#decisions-body tbody tr:not(.failed)").first.wait_for(state="detached")
    assert page.locator("#decisions-body tr.failed").count() > 0


def test_older_decisions_are_added(page: Any) -> None:
    page.locator("#decisions-body .open").first.wait_for()
    before = page.locator("#decisions-body tbody tr").count()
    page.click("text=Show older ones")
    page.locator("#decisions-body tbody tr").nth(before).wait_for()


def test_pairs_are_marked_by_keys_alone(tmp_path: Path, chromium: Any) -> None:
    with Shown(tmp_path, 60, HOLDING) as shown:
        page = shown.log_in(shown.page(chromium))
        page.goto(f"{shown.url}/sprat/marks")
        page.locator("#waiting", has_text="3 pairs wait").wait_for()
        for left in ("2 pairs wait", "1 pair waits", "No pair waits"):
            page.keyboard.press("n")
            page.locator("#waiting", has_text=left).wait_for()
        assert "No pair waits" in page.inner_text("#announce")
        page.context.close()


def test_the_marking_page_is_readable_on_a_phone_and_in_the_dark(tmp_path: Path, chromium: Any) -> None:
    with Shown(tmp_path, 60, HOLDING) as shown:
        page = shown.log_in(shown.page(chromium, "dark", (360, 740)))
        page.goto(f"{shown.url}/sprat/marks")
        page.locator(".choices").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert page.evaluate(CONTRAST)["low"] == []
        page.context.close()
