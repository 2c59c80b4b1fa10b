"""The search page in a real browser: words in, sounds out, by mouse, keyboard, and a dropped file."""

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import soundfile

from tests.browser.conftest import Watched
from tests.browser.test_page import CONTRASTS
from tests.serve.world import HOSTILE_CAPTION, HOSTILE_NAME, Served, make_index, serving, vector_of

PLAYS_BEYOND = """([name, least]) => {
  const player = document.querySelector(`audio[aria-label="Player of ${name}"]`);
  return player && !player.paused && player.currentTime > least;
}"""
PLACE = "name => document.querySelector(`audio[aria-label='Player of ${name}']`).currentTime"
PAUSED = "() => [...document.querySelectorAll('audio')].every(player => player.paused)"
WALK, BELL = "a long walk.flac", "bell.ogg"


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("browser")) as server:
        yield server


TAPES = [f"tape {number}.wav" for number in range(1, 8)]
TONES = [f"tone {number:02d}.wav" for number in range(1, 18)]
HOURS = "with a bell after hours.wav"


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Iterator[Served]:
    """Seven long recordings, seventeen short ones, and hours that end with a bell.

    All is rain, so they are found in order of their names.
    """
    root = tmp_path_factory.mktemp("archive")
    (root / "sounds").mkdir()
    for number, name in enumerate([*TAPES, *TONES], start=1):
        wave = np.zeros(8_000_000 if name in TAPES else 32_000, np.int16)  # 16 MB: no browser reads ahead so far
        wave[:16000] = 1000 * number
        soundfile.write(root / "sounds" / name, wave, 16000)
    soundfile.write(root / "sounds" / HOURS, np.zeros(4_510_000), 1000, subtype="PCM_U8")
    kinds = dict.fromkeys([*TAPES, *TONES], ("rain",)) | {HOURS: (*["rain"] * 450, "bell")}
    make_index(root / "workspace", root / "sounds", sounds=[(name, kinds[name], 0.0, ()) for name in kinds])
    with serving(root) as server:
        yield server


@pytest.fixture
def tapes(browser, archive):
    """A page of its own, where rain was searched for in the archive."""
    page = browser.new_page()
    page.set_default_timeout(5000)
    page.goto(f"{archive.url}/?q=rain")
    page.wait_for_selector(".hit.drawn")
    yield page
    page.close()


@pytest.fixture(scope="module")
def opened(browser, served) -> Iterator[Watched]:
    watched = Watched(browser.new_page(viewport={"width": 1280, "height": 900}))
    watched.page.set_default_timeout(5000)
    watched.page.on("request", lambda request: watched.requests.append(request.url))
    watched.page.on("console", lambda message: watched.complaints.append(message.text))
    watched.page.on("pageerror", lambda error: watched.complaints.append(str(error)))
    yield watched
    assert watched.complaints == []
    assert all(url.startswith((served.url + "/", f"blob:{served.url}/")) for url in watched.requests)
    watched.page.close()


@pytest.fixture
def page(opened, served):
    """The page just opened, wide, in light colours, with nothing asked for."""
    opened.page.set_viewport_size({"width": 1280, "height": 900})
    opened.page.emulate_media(color_scheme="light")
    opened.page.goto(served.url + "/")
    opened.page.wait_for_selector("#start:not([hidden])")
    return opened.page


def search(page, text):
    page.fill("#q", text)
    page.keyboard.press("Enter")
    page.wait_for_selector("#results:not([aria-busy=true]) .hit.drawn >> nth=0")


def names(page) -> list[str]:
    return page.locator(".hit bdi.name").all_inner_texts()


def asked(page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def test_words_find_sounds_and_say_where_they_are(page):
    page.get_by_role("searchbox", name="What do you want to hear?").fill("a bell")
    page.get_by_role("button", name="Search", exact=True).click()
    page.wait_for_selector(".hit.drawn")
    assert names(page)[:2] == [BELL, WALK]
    assert asked(page) == {"q": ["a bell"]} and page.title() == "a bell – atrkit"
    walk = page.locator(".hit", has_text=WALK)
    assert "0:10–0:20" in walk.inner_text() and "of 0:30" in walk.inner_text() and "in field" in walk.inner_text()
    assert page.get_by_role("status").first.inner_text().startswith("6 sounds, the best first, in ")
    assert page.locator(".hit").first.inner_text().startswith("A bell rings once")
    # the picture is that of the peaks: 160 strokes, of different heights
    path = walk.locator(".window > .wave path").get_attribute("d")
    assert path.count("M") == 160 and len(set(path.split("M"))) > 20


def test_a_hit_plays_from_where_it_begins_and_another_stops_it(page):
    search(page, "a bell")
    page.get_by_role("button", name=f"Play {WALK} from 0:10").click()
    page.wait_for_function(PLAYS_BEYOND, arg=[WALK, 10.1])
    assert page.evaluate(PLACE, WALK) < 14
    page.get_by_role("button", name=f"Play {BELL}").click()
    page.wait_for_function(PLAYS_BEYOND, arg=[BELL, 0.05])
    assert page.evaluate("() => [...document.querySelectorAll('audio')].filter(player => !player.paused).length") == 1
    page.get_by_role("button", name=f"Pause {BELL}").click()
    page.wait_for_function(PAUSED)
    reached = page.locator(".hit", has_text=WALK).locator(".now").inner_text()  # the first goes on where it was
    assert reached in ("0:10", "0:11", "0:12", "0:13")
    page.get_by_role("button", name=f"Play {WALK} from {reached}").click()
    page.wait_for_function(PLAYS_BEYOND, arg=[WALK, int(reached[2:]) + 0.05])


def test_one_long_recording_after_the_other_plays_and_searches_do_not_wait(tapes):
    """A player that keeps its connection stalls everything: browsers have six for a server."""
    for tape in TAPES:
        tapes.get_by_role("button", name=f"Play {tape} from 0:00").click()
        tapes.wait_for_function(PLAYS_BEYOND, arg=[tape, 0.05])
    search(tapes, "a dog")


def test_more_results_come_below_while_what_is_there_stays_and_plays(tapes):
    there = "count => document.querySelectorAll('.hit').length === count && !document.querySelector('.busy')"
    tapes.get_by_role("button", name=f"Play {TAPES[2]} from").click()
    tapes.get_by_role("link", name="Show 20").focus()
    scrolled = tapes.evaluate("scrollY")
    tapes.keyboard.press("Enter")
    tapes.wait_for_function(there, arg=20)
    assert names(tapes) == [*TAPES, *TONES[:13]] and asked(tapes) == {"q": ["rain"], "k": ["20"]}
    assert tapes.evaluate("document.activeElement.querySelector('bdi').textContent") == TONES[3]
    assert "Result 11," in tapes.locator(".hit").nth(10).inner_text()
    assert tapes.evaluate("scrollY") >= scrolled > 0
    tapes.wait_for_function(PLAYS_BEYOND, arg=[TAPES[2], 0.5])
    tapes.route("**/api/search?*", lambda route: route.abort())
    tapes.get_by_role("link", name="Show 50").click()
    tapes.wait_for_selector("#error button")
    assert len(names(tapes)) == 20, "what was found is not lost"
    tapes.unroute("**/api/search?*")
    tapes.get_by_role("button", name="Try again").click()
    tapes.wait_for_function(there, arg=25)
    assert not tapes.locator("#error, #more").first.is_visible()
    assert tapes.evaluate("document.activeElement.querySelector('bdi').textContent") == TONES[13]
    tapes.go_back()
    tapes.wait_for_function(there, arg=20)
    tapes.go_back()
    tapes.wait_for_function(there, arg=10)
    assert tapes.get_by_role("link", name="Show 20").is_visible()
    assert tapes.evaluate("document.querySelector('.plays bdi').textContent") == TAPES[2]


def test_places_in_recordings_of_hours_are_written_as_they_are(tapes, archive):
    search(tapes, "a bell")
    hours = tapes.locator(".hit").first
    assert "1:15:00–1:15:10" in hours.inner_text() and "of 1:15:10" in hours.inner_text()
    tapes.get_by_role("link", name=f"More like {HOURS}").click()
    tapes.wait_for_selector(f".chip:has-text('like {HOURS} at 1:15:00')")
    tapes.goto(f"{archive.url}/?like={archive.id_of(HOURS)}@4999")  # it ends before: the nearest part is meant
    tapes.wait_for_selector(f".chip:has-text('like {HOURS} at 1:15:00')")
    tapes.goto(f"{archive.url}/?q=rain&k=50")
    tapes.wait_for_selector(".place")
    places = tapes.locator(".hit", has_text=HOURS).locator(".place").all_inner_texts()
    assert [place.split()[0] for place in places] == ["0:00", "0:10", "0:20", "0:30", "0:40"]


def test_other_places_of_a_file_that_fit_are_a_key_away(page):
    search(page, "rain and a bell")
    walk = page.locator(".hit", has_text=WALK)
    score = float(vector_of(["rain"]) @ vector_of(["rain", "bell"]))
    assert walk.locator(".place").all_inner_texts() == [f"0:00 {score:.2f}", f"0:10 {score:.2f}"], "not that of the dog"
    assert page.locator(".place").count() == 2, "one place of a file is the hit itself"
    drawn = walk.locator(".window > .wave path")
    rain = drawn.get_attribute("d")
    page.get_by_role("button", name=f"Play {WALK} from 0:00").focus()
    while (
        page.evaluate("document.activeElement.getAttribute('aria-label')") != f"Play {WALK} at 0:10, score {score:.2f}"
    ):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('.hit') !== null")
    page.keyboard.press("Space")
    page.wait_for_function(PLAYS_BEYOND, arg=[WALK, 10.05])
    assert page.evaluate(PLACE, WALK) < 14
    # what is written and drawn is that place now
    page.wait_for_function("was => !document.querySelector(`.plays .wave path[d='${was}']`)", arg=rain)
    assert "0:10–0:20" in walk.inner_text() and walk.get_by_role("slider").first.get_attribute("aria-valuemin") == "10"
    assert page.evaluate("document.activeElement.ariaCurrent") == "true"
    assert "%4010" in page.get_by_role("link", name=f"More like {WALK}").get_attribute("href")


def test_sliders_answer_the_keys_that_sliders_have(page):
    search(page, "a bell")
    window = page.get_by_role("slider", name=f"Place in {WALK}")
    whole = page.get_by_role("slider", name=f"Place in the whole of {WALK}")
    steps = {"End": 20, "ArrowLeft": 19, "PageDown": 14, "ArrowUp": 15, "Home": 10, "ArrowRight": 11, "ArrowDown": 10}
    for key, place in steps.items():
        window.press(key)
        assert window.get_attribute("aria-valuenow") == f"{place:.1f}", key
    for key, place in {"Home": 0, "PageUp": 5, "ArrowUp": 6, "ArrowLeft": 5, "End": 30, "ArrowDown": 29}.items():
        whole.press(key)
        assert whole.input_value() == str(place), key
    assert page.evaluate("document.activeElement.className") == "whole", "no key of a slider leaves it"


def test_seeking_in_the_picture_and_in_the_whole_file(page):
    search(page, "a bell")
    window = page.get_by_role("slider", name=f"Place in {WALK}")
    box = window.bounding_box()
    for share, place in ((0.55, "0:15"), (0.75, "0:17")):  # before anything plays
        page.mouse.click(box["x"] + box["width"] * share, box["y"] + 20)
        assert page.get_by_role("button", name=f"Play {WALK} from {place}").count() == 1
    page.get_by_role("button", name=f"Play {WALK} from 0:17").click()
    page.wait_for_function(PLAYS_BEYOND, arg=[WALK, 17.5])
    page.mouse.click(box["x"] + box["width"] * 0.25, box["y"] + 20)
    page.wait_for_function(
        "() => { const t = document.querySelector('.plays audio').currentTime; return t > 12.5 && t < 14; }"
    )
    page.get_by_role("slider", name=f"Place in the whole of {WALK}").fill("25")
    page.wait_for_function(PLAYS_BEYOND, arg=[WALK, 25.05])
    assert page.evaluate(PLACE, WALK) < 28
    assert window.get_attribute("aria-valuetext") == "0:20"  # its end: the place lies behind it


def test_what_browsers_cannot_play_plays_too(page):
    search(page, "whistle")
    page.get_by_role("button", name="Play whistle.aiff").click()
    page.wait_for_function(PLAYS_BEYOND, arg=["whistle.aiff", 0.1])
    assert page.evaluate("document.querySelector('.plays audio').duration") == pytest.approx(3.0)


def test_the_keyboard_alone_searches_moves_plays_and_stops(page):
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "q" and page.input_value("#q") == ""
    page.keyboard.type("a dog / here ")  # here they are letters
    assert page.input_value("#q") == "a dog / here "
    page.keyboard.press("Enter")
    page.wait_for_selector(".hit.drawn")
    focused = "() => [...document.querySelectorAll('.hit')].indexOf(document.activeElement)"
    for key, expected in (("ArrowDown", 0), ("ArrowDown", 1), ("ArrowUp", 0)):
        page.keyboard.press(key)
        assert page.evaluate(focused) == expected
    page.keyboard.press("Space")
    page.wait_for_function(PLAYS_BEYOND, arg=["dog.mp3", 0.05])
    assert page.evaluate("scrollY") == 0
    page.keyboard.press("ArrowRight")
    page.wait_for_function(PLAYS_BEYOND, arg=["dog.mp3", 1.0])
    page.keyboard.press("Space")
    page.wait_for_function(PAUSED)
    page.keyboard.press("Space")
    page.wait_for_function(PLAYS_BEYOND, arg=["dog.mp3", 1.0])
    page.keyboard.press("Escape")
    page.wait_for_function(PAUSED)
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.id") == "q"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Search"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"


def test_the_space_bar_plays_what_is_shown_and_not_what_was(page):
    search(page, "a bell")
    page.get_by_role("button", name=f"Play {BELL}").click()
    page.wait_for_function(PLAYS_BEYOND, arg=[BELL, 0.05])
    page.fill("#q", "rain")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('.hit bdi').textContent === 'rain.wav'")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Space")
    page.wait_for_function(PLAYS_BEYOND, arg=["rain.wav", 0.05])


def test_searches_and_hits_have_addresses(page, served):
    search(page, "a bell")
    page.fill("#not", "rain")
    page.keyboard.press("Enter")
    page.wait_for_function("() => location.search.includes('not=rain') && !document.querySelector('.busy')")
    assert names(page)[-1] == "rain.wav"
    page.get_by_role("link", name=f"More like {WALK}").click()
    page.wait_for_selector(f".chip:has-text('like {WALK} at 0:10')")
    page.wait_for_function("() => document.querySelectorAll('.hit').length === 5")
    assert WALK not in names(page) and names(page)[0] == BELL and page.input_value("#q") == ""
    page.go_back()
    page.wait_for_function("() => document.querySelectorAll('.hit').length === 6")
    assert page.input_value("#q") == "a bell" and page.input_value("#not") == "rain"
    link = page.get_by_role("link", name="Copy link to rain.wav in these results").get_attribute("href")
    page.goto("about:blank")
    page.goto(served.url + link)
    page.wait_for_selector(".hit.drawn")
    assert page.evaluate("document.activeElement.querySelector('bdi').textContent") == "rain.wav"
    page.go_back()


DROP = """async ([name, bytes, ...others]) => {
  const data = new DataTransfer();
  for (const each of [name, ...others]) data.items.add(new File([new Uint8Array(bytes)], each, {type: "audio/ogg"}));
  const how = {dataTransfer: data, bubbles: true, cancelable: true};
  const tell = kind => document.body.dispatchEvent(new DragEvent(kind, how));
  tell("dragenter");
  const shown = !document.getElementById("drop").hidden;
  tell("dragover");
  tell("drop");
  return shown && document.getElementById("drop").hidden;
}"""


def test_a_dropped_sound_finds_its_like_and_plays(page, served):
    search(page, "rain")
    assert page.evaluate(DROP, ["my <b>bell</b>.ogg", list((served.sounds / BELL).read_bytes())]) is True
    page.wait_for_selector(".chip audio")
    page.wait_for_function("() => !document.querySelector('.busy')")
    assert set(names(page)[:2]) == {BELL, WALK} and page.input_value("#q") == ""
    assert asked(page) == {"sound": ["my <b>bell</b>.ogg"]}
    assert page.locator(".chip").inner_text().startswith("sounds like my <b>bell</b>.ogg")
    assert page.evaluate("document.querySelector('.chip audio').play().then(() => true)") is True
    page.wait_for_function("() => document.querySelector('.chip audio').currentTime > 0.05")
    search(page, "a dog")  # and words with it
    assert asked(page) == {"sound": ["my <b>bell</b>.ogg"], "q": ["a dog"]}
    page.get_by_role("link", name="Do not search by that sound").click()
    page.wait_for_function("() => !document.querySelector('.chip, .busy')")
    assert asked(page) == {"q": ["a dog"]} and names(page)[0] == "dog.mp3"
    page.go_back()
    page.wait_for_selector(".chip audio")  # it is kept for as long as the page is
    page.reload()
    page.wait_for_selector("#error:not([hidden])")
    assert "choose it or drop it again" in page.locator("#error").inner_text()


def test_a_chosen_file_that_is_too_large_is_not_sent(page, opened, tmp_path):
    with (tmp_path / "large.wav").open("wb") as file:
        file.truncate(100_000_001)
    before = len(opened.requests)
    page.set_input_files("#file", str(tmp_path / "large.wav"))
    page.wait_for_selector("#error:not([hidden])")
    assert "at most 100 MB" in page.locator("#error").inner_text()
    assert len(opened.requests) == before


def test_a_chosen_file_that_changed_since_is_not_taken_for_a_server_that_is_gone(page, served, tmp_path):
    chosen = tmp_path / "chosen.ogg"
    chosen.write_bytes((served.sounds / BELL).read_bytes())
    page.set_input_files("#file", str(chosen))
    page.wait_for_selector(".hit.drawn")
    chosen.write_bytes((served.sounds / "rain.wav").read_bytes())
    page.fill("#q", "a dog")
    page.keyboard.press("Enter")
    page.wait_for_selector("#error:not([hidden])")
    assert "chosen.ogg cannot be read: it is a folder, or was changed" in page.get_by_role("alert").inner_text()
    assert page.get_by_role("button", name="Try again").count() == 0, "of no use"


def test_of_several_dropped_files_it_is_said_that_one_is_searched_by(page, served):
    search(page, "rain")
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    assert page.evaluate("scrollY") > 0
    bell = list((served.sounds / BELL).read_bytes())
    page.evaluate(DROP, ["first.ogg", bell, "second.ogg", "third.ogg"])
    page.wait_for_selector(".chip")
    page.wait_for_function("() => !document.querySelector('.busy') && document.querySelector('.hit.drawn')")
    assert page.evaluate("scrollY") == 0, "what is searched by stands at the top"
    assert "first.ogg" in page.locator(".chip").inner_text()
    assert page.locator("#notes").inner_text() == "of 3 files only the first is searched by"
    assert page.get_by_role("link", name="Copy link").count() == 0, "a link cannot hold the sound"
    page.evaluate(DROP, ["first.ogg", bell])
    page.wait_for_selector("#notes", state="hidden")


def test_a_link_to_a_hit_is_copied_or_put_where_it_can_be_copied(page, opened, served):
    search(page, "a bell")
    link = page.get_by_role("link", name=f"Copy link to {WALK} in these results")
    expected = f"{served.url}/?q=a+bell#hit-{served.id_of('field/a long walk.flac')}"
    opened.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    link.click()
    page.wait_for_selector(".message.good:has-text('The link is copied.')")
    assert page.evaluate("navigator.clipboard.readText()") == expected != page.url
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('not allowed')); }")
    link.click()
    page.wait_for_selector(".message:not(.good):has-text('address bar')")
    assert page.url == expected and len(names(page)) == 6
    opened.page.context.clear_permissions()


def test_text_from_outside_is_text(page):
    search(page, "<img src=x onerror=alert(1)> dog")
    hit = page.locator(".hit", has=page.locator("bdi", has_text=HOSTILE_NAME))
    assert hit.locator(".caption").inner_text() == HOSTILE_CAPTION
    assert page.locator("img, main script").count() == 0
    assert page.input_value("#q") == "<img src=x onerror=alert(1)> dog"


def test_what_goes_wrong_is_said(page, opened, served):
    search(page, "zeppelin")
    assert "does not know: 'zeppelin'" in page.locator("#notes").inner_text()
    gone = served.sounds / "rain.wav"
    gone.rename(served.sounds / "elsewhere")
    try:
        search(page, "rain")
        hit = page.locator(".hit", has_text="rain.wav")
        assert "gone or changed" in hit.inner_text()
        assert hit.get_by_role("button", name="Play rain.wav").is_disabled()
    finally:
        (served.sounds / "elsewhere").rename(gone)
    page.goto(f"{served.url}/?q={'x' * 501}")
    page.wait_for_selector("#error:not([hidden])")
    assert (
        page.get_by_role("alert").inner_text() == "a text of 501 characters is too long: at most 500 are searched for"
    )
    complaints = [each for each in opened.complaints if "400 (Bad Request)" not in each]  # the browser's own remark
    opened.complaints[:] = complaints
    page.route("**/api/search?*", lambda route: route.abort())
    page.fill("#q", "rain")
    page.keyboard.press("Enter")
    page.wait_for_selector("#error button")
    assert "Is atrkit serve still running?" in page.get_by_role("alert").inner_text()
    page.unroute("**/api/search?*")
    page.get_by_role("button", name="Try again").click()
    page.wait_for_selector(".hit.drawn")
    assert not page.locator("#error").is_visible()
    opened.complaints[:] = [each for each in opened.complaints if "ERR_FAILED" not in each]


def test_an_index_that_was_brought_up_to_date_is_counted_anew(browser, tmp_path):
    with serving(tmp_path) as served:
        page = browser.new_page()
        page.set_default_timeout(5000)
        page.goto(f"{served.url}/?q=rain")
        page.wait_for_selector("#about:has-text('6 sounds in toy')")
        make_index(served.workspace, served.sounds, ["dog.mp3", "bell.ogg"])
        search(page, "a dog")
        page.wait_for_selector("#about:has-text('2 sounds in toy')")
        page.close()


def test_a_search_can_be_stopped(page, opened, served):
    search(page, "rain")
    page.route("**/api/search?*", lambda route: None)  # an answer that never comes
    page.fill("#q", "a dog")
    page.keyboard.press("Enter")
    page.wait_for_selector("#status:has-text('Searching')")
    assert page.locator("#results").get_attribute("aria-busy") == "true"
    page.keyboard.press("Escape")
    page.wait_for_selector("#status:has-text('The search was stopped.')")
    assert page.locator("#results").get_attribute("aria-busy") == "false"
    page.unroute("**/api/search?*")
    search(page, "a dog")
    assert names(page)[0] == "dog.mp3"


def test_the_page_never_scrolls_sideways_and_fingers_reach_everything(page, served):
    page.evaluate(DROP, [f"{'long name ' * 19}.ogg", list((served.sounds / BELL).read_bytes())])
    page.wait_for_selector(".hit.drawn")
    for width in (360, 390, 768, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        widths = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert widths[0] <= widths[1] == width
        heights = page.evaluate("""[...document.querySelectorAll('button, main input:not([type=range])')]
            .filter(each => each.checkVisibility()).map(each => each.getBoundingClientRect().height)""")
        assert min(heights) >= 43.9, width


def test_text_can_be_read(page, served):
    page.evaluate(DROP, ["bell.ogg", list((served.sounds / BELL).read_bytes())])
    page.wait_for_selector(".hit.drawn")
    papers = []
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        papers.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        found = page.evaluate(CONTRASTS)
        assert len(found) > 40
        assert [each for each in found if each[0] < 4.5] == [], theme
    page.get_by_role("button", name="Light colours").click()
    papers.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert papers[0] == papers[2] != papers[1]
    page.evaluate("localStorage.clear()")


def test_everything_that_is_used_has_a_name(page):
    search(page, "a bell")
    needy = "[...document.querySelectorAll('audio, button, [role=slider], input:not([hidden]), a, ol.results')]"
    named = "e => (e.getAttribute('aria-label') || e.textContent || (e.labels?.[0]?.textContent ?? '')).trim()"
    assert page.evaluate(f"{needy}.length") > 30 and page.evaluate(f"{needy}.every({named})")
    for role in ("banner", "main", "search", "contentinfo"):
        assert page.get_by_role(role).count() == 1
    live = page.locator("#status")
    assert (live.get_attribute("role"), live.get_attribute("aria-live")) == ("status", "polite")
