"""Every link leads somewhere, and every page can be found."""

from pathlib import Path

import pytest

from tests.bed.parts import ROOT
from tests.docs.page import PAGES, Page

INDEX = Page(ROOT / "docs" / "README.md")
LONGEST = 260  #: lines that somebody reads
SEARCHED = 400  #: lines of a reference page, which is searched


def _resolved(page: Page, link: str) -> tuple[Path, str]:
    path, _, anchor = link.partition("#")
    return (page.path.parent / path).resolve() if path else page.path, anchor


@pytest.mark.parametrize("page", [*PAGES, Page(ROOT / "CHANGELOG.md")], ids=str)
def test_links_lead_to_a_file_and_a_heading(page: Page) -> None:
    for link in page.links:
        if link.startswith(("http://", "https://")):
            continue
        path, anchor = _resolved(page, link)
        assert path.exists(), link
        assert path.is_relative_to(ROOT), link
        assert not anchor or anchor in Page(path).anchors, link


def test_every_page_is_in_the_index_and_the_index_in_the_readme() -> None:
    linked = {_resolved(INDEX, link)[0] for link in INDEX.links}
    missing = [str(page) for page in PAGES[1:] if page.path != INDEX.path and page.path not in linked]
    assert missing == []
    assert INDEX.path in {_resolved(PAGES[0], link)[0] for link in PAGES[0].links}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_no_page_is_longer_than_people_read(page: Page) -> None:
    assert page.text.count("\n") <= (SEARCHED if "/reference/" in str(page) else LONGEST)


def test_every_picture_is_shown_somewhere_and_small() -> None:
    shown = {_resolved(page, link)[0] for page in PAGES for link in page.links}
    for picture in (ROOT / "docs" / "images").glob("*.[ps][nv]g"):
        assert picture in shown, picture.name
        assert picture.stat().st_size < 200_000, picture.name
