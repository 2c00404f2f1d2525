"""Takes the pictures of the pages that the README shows, from a demo that is kept running.

    scripts/demo --keep
    .venv/bin/python docs/images/photograph.py http://127.0.0.1:PORT/runs/1 API-KEY

People call it when a page has changed its looks; `CHROMIUM` names the browser where it is not on PATH.
"""

import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import FloatRect, sync_playwright

HERE = Path(__file__).parent
WIDTH, HEIGHT = 960, 2400
MARGIN = 24


def main(page_url: str, key: str) -> None:
    with sync_playwright() as playwright:
        chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        context = browser.new_context(
            viewport={"width": WIDTH, "height": HEIGHT},
            color_scheme="light",
            extra_http_headers={"Authorization": f"Bearer {key}"},
        )
        page = context.new_page()
        page.goto(page_url)
        opened = page.locator("details[open] > summary")
        while opened.count():
            opened.first.click()  # so that the whole story fits into one picture
        end = page.get_by_role("heading", name="In the audit log").bounding_box()
        assert end is not None, "the page has no audit rows: is that a run's page?"
        clip: FloatRect = {"x": 0, "y": 0, "width": WIDTH, "height": end["y"] - MARGIN}
        page.screenshot(path=HERE / "run.png", clip=clip)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
