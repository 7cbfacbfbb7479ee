"""How Sphinx makes a site of the documentation: `make docs`.

The folder that Sphinx reads is the repository itself, so links work alike there and in the site: to
pages, and to files of code and configuration, which it copies. A link or an anchor that leads
nowhere, or a page that docs/index.md does not list, is a warning, at which `make docs` fails.
"""

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

project = "Which reasoning traces to distil"
extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = ["docs/*.md", "config/README.md"]
include_patterns += ["CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"]
myst_heading_anchors = 3
highlight_language = "none"
smartquotes = False

html_theme = "furo"
html_title = project
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_copy_source = False
html_use_index = False
html_show_search_summary = False  # a page in a folder may not read others
html_theme_options = {"top_of_page_buttons": []}


def setup(app: Sphinx) -> None:
    """Take the navigation from the index, and begin the site at it."""
    app.connect("source-read", _add_navigation)
    app.connect("build-finished", _begin_at_the_index)


def _add_navigation(app: Sphinx, page: str, source: list[str]) -> None:
    if page != root_doc:
        return
    sections = re.findall(r"^## (.+)\n\n((?:- .*\n)+)", source[0], re.M)
    for caption, items in sections:
        pages = re.findall(r"^- \[([^]]+)\]\((\S+)\.md\)", items, re.M)
        entries = "\n".join(f"{title} <{name}>" for title, name in pages)
        source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{entries}\n```\n"


def _begin_at_the_index(app: Sphinx, error: Any) -> None:
    text = f'<meta http-equiv="refresh" content="0; url={root_doc}.html">\n'
    (Path(app.outdir) / "index.html").write_text(
        f"<!doctype html>\n<title>{project}</title>\n{text}"
    )
