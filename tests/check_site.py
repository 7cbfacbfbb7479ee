"""Check what `make docs` made as a reader without a network and without a server would meet it.

python -m tests.check_site site
"""

import re
import sys
from pathlib import Path

from tests.check_report import browse

# What a page or a style loads, unlike what it links to.
LOADS = re.compile(
    r"""<(?:script|img|iframe|source)[^>]*\ssrc=["']?(?:https?:)?//"""
    r"""|<link(?![^>]*rel=["']?(?:canonical|index|search|next|prev))[^>]*href=["']?(?:https?:)?//"""
    r"""|(?:@import|url\()\s*["']?(?:https?:)?//"""
)


def main(folder: Path) -> int:
    """Print what is wrong with the site; return 1 if anything is."""
    files = [path for end in ("html", "css") for path in sorted(folder.rglob(f"*.{end}"))]
    wrong = [
        f"{path.relative_to(folder)} loads {found[0]}... from the network"
        for path in files
        if (found := LOADS.search(path.read_text(encoding="utf-8")))
    ]
    search = (folder / "search.html").resolve().as_uri()
    for page, wanted in (
        ((folder / "index.html").resolve().as_uri(), 'href="running.html"'),
        (f"{search}?q=decontaminate", 'href="docs/decontamination.html'),
    ):
        if found := browse(page):
            rendered, errors = found
            wrong += errors
            if wanted not in rendered:
                wrong.append(f"{page}: {wanted} is not in it")
    for line in wrong:
        print(f"{folder}: {line}")
    print(f"{folder}: {len(files)} pages and styles, {len(wrong)} defects")
    return int(bool(wrong) or not files)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
