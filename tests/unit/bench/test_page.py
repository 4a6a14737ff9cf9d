import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from aand_edge.bench.page import to_html
from aand_edge.bench.report import Recommendation
from tests.chromium import open_chromium

pytestmark = pytest.mark.usefixtures("quick")


class Page(HTMLParser):
    """The tags, links and text of a page, and whether its tags close in order."""

    VOID = frozenset({"meta", "img", "br", "link", "path", "use", "rect"})

    def __init__(self, text):
        super().__init__()
        self.open, self.links, self.text = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.links += [value for key, value in attributes if key in ("src", "href", "xlink:href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture
def report(category, bench, tmp_path):
    return bench(category, tmp_path / "bench")


def test_the_page_needs_nothing_beside_it(report):
    text = to_html(report)
    page = Page(text)
    assert page.open == []
    assert page.links
    assert all(link.startswith(("data:image/jpeg;base64,", "#")) for link in page.links)
    assert not re.findall(r"url\((?!#)|@import|<script|<link", text)


def test_the_verdict_comes_first(report):
    words = " ".join(Page(to_html(report)).text)
    assert words.index(report.recommended.engine) < words.index("Speed and memory")
    assert words.index("half of all answers take no longer (P50)") < words.index("99 of 100 answers")
    assert "frames a second" not in words[: words.index("Speed and memory")], "the mean does not decide"
    assert "2 of 3" in words  # defects found
    assert "1 of 3" in words  # good parts rejected


def test_every_group_of_pictures_is_shown_with_its_tiles(report):
    text = to_html(report)
    for title in ("Missed defects", "Defects found", "Good parts rejected by mistake", "Good parts passed"):
        assert f"<h3>{title}</h3>" in text
    assert text.count("<img ") == 2 * 6 + 2  # picture and heat of six, the outline of the two with a mask


def test_names_are_escaped(report):
    row = replace(report.rows[0], name="<b>&", note="a < b")
    recommended = Recommendation("<b>&", "a < b")
    text = to_html(replace(report, category="<i>part</i>", rows=(row,), recommended=recommended, reference=None))
    Page(text)
    assert "<b>&<" not in text
    assert "<i>" not in text
    assert "&lt;b&gt;&amp;" in text


def test_a_missed_budget_is_an_alarm(report):
    text = to_html(replace(report, budget_ms=1e-9))
    assert 'class="verdict over"' in text
    assert "over the budget" in text
    assert 'class="verdict over"' not in to_html(report)


def test_without_test_pictures_there_is_no_gallery_and_no_accuracy(category, bench, tmp_path):
    text = to_html(bench(replace(category, test=()), tmp_path))
    Page(text)
    assert "No test pictures" in text
    assert "<img" not in text
    assert "<h2>Accuracy</h2>" not in text


def test_yardsticks_alone_make_a_page_without_a_recommendation(report):
    assert "No engine to use" in to_html(replace(report, recommended=None))


ONE_LINE = """
return [...document.querySelectorAll("td:first-child")].every((cell) => {
  const text = document.createRange();
  text.selectNodeContents(cell);
  return text.getClientRects().length === 1;
});
"""


@pytest.mark.parametrize("width", [1280, 500])
def test_an_engines_name_is_one_line_and_the_page_fits_its_window(category, bench, tmp_path, width):
    page = tmp_path / "report.html"
    text = to_html(bench(category, tmp_path / "bench", engines=2))
    page.write_text(text.replace("part.openvino", "sample-efficientnet_lite0.tensorrt"), encoding="utf-8")
    with open_chromium(tmp_path / "profile", width) as browser:
        browser.get(page.as_uri())
        assert browser.execute_script(ONE_LINE)
        assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
