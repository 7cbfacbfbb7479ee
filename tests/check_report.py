"""Check a finished report the way a reader would meet it.

python -m tests.check_report FOLDER [EFFECT ...]      # the effects that must be supported
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

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
    if re.search(r"""(?:src|href)=["'](?:https?:)?//""", page):
        wrong.append("the page loads something from the network")
    for figure in sorted((folder / "figures").glob("*.svg")):
        if not figure.with_suffix(".png").exists() or not figure.with_suffix(".csv").exists():
            wrong.append(f"{figure.name} has no PNG or no CSV beside it")
    wrong += _console_errors(folder / "index.html")
    for line in wrong:
        print(f"{folder}: {line}")
    print(
        f"{folder}: {len(summary['effects'])} effects, {summary.get('wall_seconds')} s, start-up "
        f"share {summary.get('startup_share')}, peak {summary.get('peak_mib')} MiB, "
        f"{len(wrong)} defects"
    )
    return int(bool(wrong))


def _console_errors(page: Path) -> list[str]:
    """Return what a browser says of the page; nothing where there is no Chromium."""
    found = browse(page.resolve().as_uri())
    if found is None:
        return []
    rendered, errors = found
    return [*errors, *([] if "</html>" in rendered else ["the browser did not render the page"])]


def browse(url: str) -> tuple[str, list[str]] | None:
    """Return what Chromium makes of a page and the errors in its console; None without Chromium."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        print("skipped: no Chromium to open the page in")
        return None
    with tempfile.TemporaryDirectory() as profile:
        done = subprocess.run(
            [browser, *_CHROMIUM, f"--user-data-dir={profile}", "--dump-dom", url],
            capture_output=True,
            text=True,
            timeout=120,
        )
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
