"""One page in one browser for all tests: a Chromium that is there, driven by playwright."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest

from tests.reports.charts.drawn import ranked
from tests.reports.page.made_up import HOSTILE, examples, page, run, sine, table

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")


@dataclass
class Watched:
    """A page, and what it asked for and complained about since it was opened."""

    page: object
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    named = os.environ.get("ATRKIT_CHROMIUM")
    found = next(filter(None, map(shutil.which, (named,) if named else CHROMIUMS)), None)
    if found is None:
        pytest.skip(
            f"no Chromium: {named or ', '.join(CHROMIUMS)} is not on PATH; as root on Debian: .ci/install-browser, "
            "else install one and name it in ATRKIT_CHROMIUM"
        )
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    with playwright.sync_playwright() as driver:
        # containers have no user namespaces, and a small /dev/shm
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def opened(browser, tmp_path_factory) -> Watched:
    """Two runs on one page from disk: hostile captions, real audio, real charts."""
    from atrkit.reports.charts.rank_histogram import rank_histogram, rank_histogram_chart
    from atrkit.reports.page.content import RunGroup, Sound
    from atrkit.reports.page.render import render_page
    from atrkit.workflows.report_audio import encode

    drawn = rank_histogram_chart([rank_histogram("Text to audio", ranked([1, 1, 2, 9, 30], 40))])
    hostile = [
        run(f"run-{n}", name=text, examples=examples(text), recall=table(text)) for n, text in enumerate(HOSTILE)
    ]
    whole = page(run("run-real", charts=(drawn,)), *hostile)
    sounds = {key: sound for key, sound in whole.sounds.items() if sound.data is None}
    for name, seconds in (("dog", 8.0), ("rain", 9.0)):
        data, media_type = encode(sine(seconds, 16000), 16000, as_mp3=False)
        sounds[f"d/{name}.wav"] = Sound(f"{name}.wav", seconds, data, media_type)
    path = tmp_path_factory.mktemp("page") / "report.html"
    seeds = RunGroup("seeds", "dual", table(), (run("seed-1"), run("seed-2")))
    made = replace(whole, sounds=sounds, groups=(*whole.groups, seeds))
    path.write_text(render_page(made), encoding="utf-8")

    watched = Watched(browser.new_page(viewport={"width": 1280, "height": 900}))
    watched.page.set_default_timeout(5000)
    watched.page.on("request", lambda request: watched.requests.append(request.url))
    watched.page.on("console", lambda message: watched.complaints.append(message.text))
    watched.page.on("pageerror", lambda error: watched.complaints.append(str(error)))
    watched.page.goto(path.as_uri())
    return watched


@pytest.fixture
def shown(opened) -> object:
    """The page just opened, wide, in light colours."""
    shown = opened.page
    shown.set_viewport_size({"width": 1280, "height": 900})
    shown.emulate_media(color_scheme="light", media="screen")
    shown.evaluate("localStorage.clear()")
    shown.goto(shown.url.partition("#")[0])
    return shown
