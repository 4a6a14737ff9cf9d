"""Takes docs/live-page.png: the page beside a loop over rendered parts, as Chromium shows it.

    python docs/take_live_page.py WORKSPACE ENGINE

Needs the sample set's engine (`make demo`), Chromium with its driver, selenium and pillow.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from tests.chromium import open_chromium

TARGET = Path(__file__).with_name("live-page.png")
SOURCES = ["top=test://?rate=4&defects=0.1&seed=5&parts=24", "side=test://?rate=3&defects=0.15&seed=3&parts=24"]
PARTS = 300
HOLD = f"""
const done = arguments[0];
const verdict = (name) => document.querySelector(`[data-camera=${{name}}]`)?.dataset.verdict;
const plain = () => parseFloat(document.querySelector("[data-camera=side] .fill").style.width) > 70;
const look = () => {{
  const parts = Number(document.getElementById("remembered").textContent);
  const wanted = parts >= {PARTS} && verdict("top") === "pass" && verdict("side") === "reject" && plain();
  if (!wanted) return requestAnimationFrame(look);
  WebSocket.prototype.send = () => {{}}; // without an ack nothing new comes
  done();
}};
look();
"""
TRY = """
const slider = document.getElementById("preview");
slider.value = 1.06 * slider.value;
slider.dispatchEvent(new Event("input"));
"""


def main() -> None:
    workspace, engine = sys.argv[1:]
    command = [sys.executable, "-c", "from aand_edge.cli import main; main()", "run", *SOURCES, "--engine", engine]
    with (
        tempfile.TemporaryDirectory() as profile,
        subprocess.Popen(
            [*command, "--page", "0", "--json"],
            cwd=workspace,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        assert process.stderr is not None
        address = next(found[0] for line in process.stderr if (found := re.search(r"http://\S+", line)))
        browser = open_chromium(Path(profile), 1600, 987)  # of which the window's own bars take 87
        browser.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
        )
        browser.get(address)
        browser.set_script_timeout(300)
        browser.execute_async_script(HOLD)
        browser.execute_script(TRY)
        browser.save_screenshot(str(TARGET))
        browser.quit()
        process.terminate()
    picture = Image.open(TARGET).convert("RGB")
    colours = picture.quantize(256, Image.Quantize.FASTOCTREE)  # keeps the few amber points, which others lose
    picture.quantize(palette=colours, dither=Image.Dither.FLOYDSTEINBERG).save(TARGET, optimize=True)


if __name__ == "__main__":
    main()
