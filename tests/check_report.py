"""Check a finished report the way a reader would meet it.

python -m tests.check_report FOLDER [EFFECT ...]      # the effects that must be supported

A verdict that is false next to the truth, or a control that was found, is a defect.

Where there is a Chromium, the page is opened in it: wide and light, narrow and dark. It may say
nothing in its console, and has to be usable with a keyboard, a screen reader and weak eyes
(check_page.js).
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from html import unescape
from pathlib import Path
from typing import Any

from nt_pkg.report.truth import FALSE

_CHROMIUM = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--enable-logging=stderr",
    "--virtual-time-budget=3000",
]
# Holds the page, and writes down what its check tells.
_FRAME = """<!doctype html><meta name="color-scheme" content="light dark">
<iframe src="{page}" style="width:{width}px;height:900px;border:0"></iframe>
<script>addEventListener("message", (event) => {{
  const found = document.createElement("pre");
  found.textContent = event.data;
  document.body.append(found);
}});</script>"""


def main(folder: Path, supported: list[str]) -> int:
    """Print what is wrong with a report; return 1 if anything is."""
    summary = json.loads((folder / "summary.json").read_text())
    page = (folder / "index.html").read_text()
    wrong = []
    for key in ("wall_seconds", "seconds_per_stage", "startup_share", "peak_mib", "effects"):
        if key not in summary:
            wrong.append(f"summary.json lacks {key}")
    for effect in summary["effects"]:
        missing = {"name", "difference", "standard_error", "num_seeds", "verdict"} - set(effect)
        if missing:
            wrong.append(f"effect {effect.get('name')} lacks {sorted(missing)}")
    verdicts = {effect["name"]: effect["verdict"] for effect in summary["effects"]}
    wrong += [f"{n} is {verdicts.get(n)}" for n in supported if verdicts.get(n) != "supported"]
    wrong += find_false(summary)
    if re.search(r"""(?:src|href)=["'](?:https?:)?//""", page):
        wrong.append("the page loads something from the network")
    for figure in sorted((folder / "figures").glob("*.svg")):
        if not figure.with_suffix(".png").exists() or not figure.with_suffix(".csv").exists():
            wrong.append(f"{figure.name} has no PNG or no CSV beside it")
    for link in sorted(set(re.findall(r'href="((?:tables|figures|pages)/[^"]+)"', page))):
        if not (folder / link).is_file():
            wrong.append(f"the page links to {link}, which is not there")
    for opened in (folder / "index.html", *sorted((folder / "pages").glob("[!.]*.html"))):
        wrong += [f"{opened.name}: {line}" for line in open_in_browser(opened)]
    for line in wrong:
        print(f"{folder}: {line}")
    print(
        f"{folder}: {len(summary['effects'])} effects, {summary.get('wall_seconds')} s, start-up "
        f"share {summary.get('startup_share')}, peak {summary.get('peak_mib')} MiB, "
        f"{len(wrong)} defects"
    )
    return int(bool(wrong))


def find_false(summary: dict[str, Any]) -> list[str]:
    """Return the verdicts that the truth contradicts, and the controls that were found."""
    wrong = []
    for each in summary.get("truth", []):
        if each["source"] == "design" and each["outcome"] == FALSE:
            wrong.append(
                f"the control {each['name']} is {each['verdict']}, and zero by design: the tests "
                "of this report find what is not there"
            )
        elif each["outcome"] == FALSE:
            wrong.append(
                f"the verdict {each['verdict']} on {each['name']} is false: the true difference is "
                f"{each['value']:.4f} +- {each['error']:.4f} over {each['num_seeds']} seeds"
            )
    return wrong


def find_browser() -> str | None:
    """Return the path of a Chromium, if there is one."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


def open_in_browser(page: Path) -> list[str]:
    """Return what a browser says of the page; nothing where there is no Chromium."""
    script = f"<script>{Path(__file__).with_name('check_page.js').read_text()}</script></body>"
    # Beside the page, so that its links mean the same.
    copy, frame = page.with_name(".checked.html"), page.with_name(".frame.html")
    # The policy of a page lets no script run but its own.
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text())
    copy.write_text(text.replace("</body>", script))
    wrong = []
    try:
        for width, is_dark in ((1400, False), (390, True)):
            # Windows have a least width, frames have none.
            frame.write_text(_FRAME.format(page=copy.name, width=width))
            where = f"{width} px, {'dark' if is_dark else 'light'}"
            wrong += [f"{where}: {line}" for line in _defects(frame, is_dark)]
    finally:
        copy.unlink()
        frame.unlink(missing_ok=True)
    return wrong


def _defects(page: Path, is_dark: bool) -> list[str]:
    found = browse(page.resolve().as_uri(), is_dark)
    if found is None:
        return []
    rendered, errors = found
    told = re.search(r"<pre>(.*?)</pre>", rendered, re.DOTALL)
    if told is None:
        return [*errors, "the browser did not render the page, or its check failed"]
    page_facts = json.loads(unescape(told[1]))
    width, lowest = page_facts["width"], page_facts["lowest"]
    print(f"{width} px, dark: {page_facts['isDark']}; least contrast {lowest:.2f}")
    if page_facts["isDark"] != is_dark:
        errors.append("the browser did not take the theme it was given")
    return [*errors, *page_facts["wrong"]]


def browse(url: str, is_dark: bool = False) -> tuple[str, list[str]] | None:
    """Return what Chromium makes of a page and the errors in its console; None without Chromium."""
    browser = find_browser()
    if browser is None:
        print("skipped: no Chromium to open the page in")
        return None
    theme = ["--blink-settings=preferredColorScheme=0"] if is_dark else []
    with tempfile.TemporaryDirectory() as profile:
        options = [*_CHROMIUM, *theme, "--window-size=1500,900", f"--user-data-dir={profile}"]
        done = subprocess.run(
            [browser, *options, "--dump-dom", url], capture_output=True, text=True, timeout=120
        )
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
