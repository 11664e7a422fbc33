"""Make docs/images/report.png: what the report of the demo looks like in a browser.

    make demo && python docs/make_report_picture.py results/demo/report/2018.html

Needs playwright (the extra "test") and a chromium of the system.
"""

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

PICTURE = Path(__file__).resolve().parent / "images" / "report.png"
WIDTH, HEIGHT = 1180, 900
PARTS = ("summary", "maps", "stations")  # side by side


def main(page: str) -> None:
    """Photograph the first screen of some sections."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        tab.goto(Path(page).resolve().as_uri())
        shots = []
        for part in PARTS:
            tab.evaluate(f"scrollTo({{top: {part} ? {part}.offsetTop - 60 : 0, behavior: 'instant'}})")
            tab.wait_for_timeout(600)
            shots.append(Image.open(io.BytesIO(tab.screenshot())))
        browser.close()
    sheet = Image.new("RGB", (WIDTH * len(shots) + 40 * (len(shots) - 1), HEIGHT), "white")
    for number, shot in enumerate(shots):
        sheet.paste(shot, (number * (WIDTH + 40), 0))
    sheet.resize((sheet.width // 2, sheet.height // 2), Image.Resampling.LANCZOS).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
