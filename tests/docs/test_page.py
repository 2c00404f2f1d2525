"""The reader of pages reads what it should, so that the other tests are worth something."""

from pathlib import Path

from tests.docs.page import Page

TEXT = """\
# Title

Words with `code` and a [link](other.md#there).

| key | meaning |
|---|---|
| `one`, `two` | a \\| b |
| `three` | |

| label | meaning |
|---|---|
| `four` | |

## `amend x`

```yaml spec
# no heading
a: 1
```
"""


def page(directory: Path) -> Page:
    path = directory / "page.md"
    path.write_text(TEXT)
    return Page(path)


def test_tables_are_told_apart_by_their_first_column(tmp_path: Path) -> None:
    assert page(tmp_path).words("Title") == ["one", "two", "three", "four"]
    assert page(tmp_path).words("Title", "key") == ["one", "two", "three"]
    assert page(tmp_path).words("Title", "label") == ["four"]


def test_an_escaped_bar_is_text(tmp_path: Path) -> None:
    assert page(tmp_path).rows("Title")[0].cells == ["`one`, `two`", "a | b"]


def test_code_blocks_are_no_headings(tmp_path: Path) -> None:
    assert page(tmp_path).headings == ["Title", "`amend x`"]
    assert page(tmp_path).anchors == {"title", "amend-x"}
    (block,) = page(tmp_path).blocks
    assert (block.language, block.kind, block.text, block.line) == ("yaml", "spec", "# no heading\na: 1\n", 16)


def test_links_and_code_are_found(tmp_path: Path) -> None:
    assert page(tmp_path).links == ["other.md#there"]
    assert "code" in page(tmp_path).code
