"""Pictures of the gateway's dashboard over a made-up week: light, dark, phone; full, empty, broken promise, a card.

    python benchmarks/dashboard_pictures.py --out /tmp/pictures

Needs the packages of the dev group and a Chromium. Nothing is measured; look at the pictures.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "tests" / "gateway"), str(ROOT / "tests")]

from dashboard_browser import BROKEN, HOLDING, Shown, browser  # noqa: E402

LOOKS = (
    ("light", "light", (1200, 900)),
    ("dark", "dark", (1200, 900)),
    ("phone", "light", (390, 844)),
    ("phone-dark", "dark", (360, 740)),
)


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("pictures"))
    parser.add_argument("--exchanges", type=int, default=4000)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    cases = (("full", asked.exchanges, HOLDING), ("broken", asked.exchanges, BROKEN), ("empty", 0, None))
    with browser() as chromium:
        for name, n, promise in cases:
            with tempfile.TemporaryDirectory() as folder, Shown(Path(folder), n, promise) as shown:
                for look, scheme, size in LOOKS:
                    page = shown.page(chromium, scheme, size)
                    page.screenshot(path=asked.out / f"{name}-login-{look}.png")
                    shown.log_in(page)
                    page.goto(f"{shown.url}/sprat/?window=week")
                    page.locator("#asof", has_text="as of").wait_for()
                    while "Still" in page.inner_text("#asof"):
                        page.wait_for_timeout(100)
                    page.wait_for_timeout(700)
                    page.screenshot(path=asked.out / f"{name}-{look}.png", full_page=True)
                    if n:
                        page.locator("#decisions-body .open").nth(2).click()
                        page.wait_for_selector("dialog[open]")
                        page.screenshot(path=asked.out / f"{name}-card-{look}.png")
                    page.context.close()
    print(*sorted(p.name for p in asked.out.glob("*.png")), sep="\n")


if __name__ == "__main__":
    main()
