"""Pages of rows beside the report: searched, filtered and read offline, one file each.

Texts of models and data sets are hostile until proven otherwise: they stand in the page as JSON
that no parser of HTML can leave, reach the reader as text nodes only, and the page's policy lets no
script run but its own and nothing be fetched.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from pathlib import Path

from nt_pkg.report.canvas import theme_variables

FOLDER = "pages"


@dataclass(frozen=True)
class Block:
    """A text of an entry; `side` 0 or 1 is left or right, None the whole width.

    In a text that is `marked`, the words of the entry's strategies are highlighted.
    """

    label: str
    text: str
    side: int | None = None
    marked: bool = False


@dataclass(frozen=True)
class Entry:
    """What can be opened: a line to recognise it, a quieter one, values to filter by, texts."""

    head: str
    note: str
    tags: Mapping[str, Sequence[str]]
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Words:
    """The words that mark a label in a text, as whole words."""

    label: str
    words: Sequence[str]
    ignore_case: bool = True


@dataclass(frozen=True)
class Page:
    """A page of entries, written to pages/`name`.html.

    Attributes:
        caption: says on the report what is there.
        filters: (key of tags, label) of every filter, in order.
        words: of the labels with the key `strategies`, to highlight.
    """

    name: str
    title: str
    caption: str
    entries: Sequence[Entry]
    filters: Sequence[tuple[str, str]]
    words: Sequence[Words] = field(default=())


def render_link(page: Page) -> str:
    """Return the paragraph of the report that leads to a page."""
    return (
        f'<p class="open"><a href="{FOLDER}/{page.name}.html">{escape(page.title)}</a>: '
        f"{escape(page.caption)}</p>"
    )


def render_browser(page: Page, kicker: str) -> str:
    """Return the page: one file, no network, light and dark."""
    here = Path(__file__).parent
    script = (here / "browser.js").read_text(encoding="utf-8")
    css = (here / "page.css").read_text(encoding="utf-8")
    more = (here / "browser.css").read_text(encoding="utf-8")
    light, dark = theme_variables()
    theme = f":root{{{light}}}\n@media (prefers-color-scheme: dark){{:root{{{dark}}}}}\n"
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{allowed}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(page.title)}</title>
<style>
{theme}{css}{more}</style>
</head>
<body class="browser">
<a class="skip" href="#main">Skip to the rows</a>
<header>
<p class="kicker">{escape(kicker)}</p>
<h1>{escape(page.title)}</h1>
<p class="lede">{escape(page.caption)}</p>
</header>
<nav aria-label="Report"><ol><li><a href="../index.html">Back to the report</a></li></ol></nav>
<main id="main">
<noscript><p class="note">This page needs scripts to search and show its rows.</p></noscript>
<form id="controls" role="search" aria-label="Rows"></form>
<p id="count" role="status"></p>
<div id="entries"></div>
<button type="button" id="more" hidden>Show more</button>
</main>
<footer><p>One file, no network. The middle of long texts is cut, with a note of how much.</p>
</footer>
<script type="application/json" id="data">{_as_json(page)}</script>
<script>{script}</script>
</body>
</html>
"""


def _as_json(page: Page) -> str:
    """Return the data as JSON without a character that means something to a parser of HTML."""
    data = {
        "filters": [list(each) for each in page.filters],
        "words": [asdict(each) for each in page.words],
        "entries": [asdict(each) for each in page.entries],
    }
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text
