"""The page that a person looks at after a night with drift, in a real browser."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import FloatRect, Page, sync_playwright
from tests.unit.drift.conftest import drift_store
from tests.unit.drift.test_night_check import judged
from tests.unit.drift.traffic import DAY, FIRST, examples, model_reference, night

from identity_masker import artifacts

__all__ = ["drift_store"]
CHROMIUM = Path("/usr/bin/chromium")
NIGHTS, DARKER = 6, 4
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's chromium")


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield browser.new_page(viewport={"width": 1100, "height": 900})
        browser.close()


def test_a_night_of_darker_pictures_is_named_and_shown(page: Page, drift_store: Path, tmp_path: Path) -> None:
    model_reference()
    for offset in range(NIGHTS):
        day = FIRST + offset * DAY
        night(drift_store, day, darker=1.0 if offset >= DARKER else 0.0)
        if offset == NIGHTS - 1:
            examples(drift_store, day, 8)
        found = judged(drift_store, day)
    report = tmp_path / "report.html"
    report.write_bytes(artifacts.read_bytes(found.report))

    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    assert page.get_by_text("brightness").first.is_visible()
    assert page.locator("img").count() + page.locator("svg").count() >= 3
    assert not page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    broken = "[...document.images].filter(image => !image.complete || !image.naturalWidth).length"
    assert page.evaluate(broken) == 0
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    pictures = Path(os.environ.get("MASKER_SCREENSHOTS", tmp_path))
    page.screenshot(path=pictures / "drift-report.png")
    page.screenshot(
        path=pictures / "drift-plots.png", full_page=True, clip=between(page, "Before and after", "Rows of")
    )
    for name in ("drift-report.png", "drift-plots.png"):
        assert (pictures / name).stat().st_size > 10_000


def between(page: Page, first: str, last: str) -> FloatRect:
    """The part of the page from one heading to another."""
    top, bottom = (page.get_by_role("heading", name=name).bounding_box() for name in (first, last))
    assert top is not None
    assert bottom is not None
    return {"x": 0, "y": top["y"], "width": 1100, "height": bottom["y"] - top["y"]}
