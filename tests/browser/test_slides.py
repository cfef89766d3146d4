"""The slides of `make slides` in real Chromium: nothing is fetched, cut off or unreadable."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

BUILT = Path(__file__).parents[2] / "_build" / "teaching"
SLIDES, PDF = BUILT / "slides" / "slides.html", BUILT / "slides.pdf"
# Of the slide on show: what reaches beyond its frame, formulas that failed, pictures undescribed.
FAULTS = """() => {
    const slide = Reveal.getCurrentSlide(), {width, height} = Reveal.getComputedSlideSize();
    const scale = Reveal.getScale(), frame = slide.parentElement.getBoundingClientRect();
    const right = frame.left + scale * width + 1, bottom = frame.top + scale * height + 1;
    const cut = [...slide.querySelectorAll(':not(aside, aside *, mjx-assistive-mml *)')]
        .map(e => [e, e.getBoundingClientRect()])
        .filter(([e, box]) => box.width && (box.right > right || box.bottom > bottom));
    const bare = slide.querySelectorAll(
        '[data-mml-node=merror], .math:not(:has(svg)), img:not([alt])');
    const broken = [...slide.querySelectorAll('img')].filter(e => !e.naturalWidth);
    return [...cut.map(([e]) => e), ...bare, ...broken].map(e => e.outerHTML.slice(0, 80));
}"""


@pytest.fixture
def slides(chromium):
    if not SLIDES.is_file():
        pytest.skip(f"there are no slides in {SLIDES.parent}; run `make slides` first")
    page = chromium.new_page(viewport={"width": 1280, "height": 720})
    complaints = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request",
        lambda r: None if r.url.startswith(("file:", "data:")) else complaints.append(r.url),
    )
    page.on("requestfailed", lambda request: complaints.append(request.url))
    page.goto(SLIDES.as_uri())
    page.evaluate("() => MathJax.startup.promise")
    yield page
    assert complaints == []
    page.close()


def test_every_slide_is_whole_and_offline(slides):
    count = slides.evaluate("Reveal.getTotalSlides()")
    assert count >= 20
    titles = []
    for number in range(count):
        slides.evaluate("i => Reveal.slide(Reveal.getIndices(Reveal.getSlides()[i]).h)", number)
        titles.append(slides.locator("section.present :is(h1, h2)").last.inner_text())
        assert slides.evaluate(FAULTS) == [], titles[-1]
    assert len({*titles}) == count


def test_the_pdf_has_one_page_for_each_slide(slides):
    count = slides.evaluate("Reveal.getTotalSlides()")
    assert len(re.findall(rb"/Type\s*/Page\b", PDF.read_bytes())) == count
