"""The page in a real browser: it plays, reads, fits, and asks for nothing."""

import base64

import pytest

PLAYS = "n => { const p = document.querySelectorAll('audio')[n]; return !p.paused && p.currentTime > 0.05; }"
PAUSED = "n => document.querySelectorAll('audio')[n].paused"
# text that is seen, by colour and background as computed; fill is what colours text in drawings
CONTRASTS = """() => {
  const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = colour => {
    const linear = v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = numbers(colour).map(v => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor, [, , , alpha = 1] = numbers(colour);
      if (alpha === 1) return colour;
      if (alpha > 0) throw new Error("half transparent: " + colour);
    }
    return "rgb(255, 255, 255)";
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility()) continue;
    if (["title", "desc"].includes(element.tagName)) continue;  // of drawings: read out, not seen
    const style = getComputedStyle(element);
    const colour = element instanceof SVGElement ? style.fill : style.color;
    const [a, b] = [light(colour), light(behind(element))].sort((x, y) => y - x);
    found.push([(a + 0.05) / (b + 0.05), colour, walker.currentNode.data.trim().slice(0, 40)]);
  }
  return found;
}"""


# how many colours a picture has, given as base64
COLOURS = """async picture => {
  const bytes = Uint8Array.from(atob(picture), c => c.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes], {type: "image/png"}));
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
  context.drawImage(bitmap, 0, 0);
  const pixels = context.getImageData(0, 0, bitmap.width, bitmap.height).data;
  return [...new Set(Array.from({length: pixels.length / 4}, (_, n) => pixels.slice(4 * n, 4 * n + 3).join()))];
}"""


def player_box(page, number):
    player = page.locator("audio").nth(number)
    player.scroll_into_view_if_needed()
    return player.bounding_box()


def click_play(page, number):
    box = player_box(page, number)
    page.mouse.click(box["x"] + 24, box["y"] + box["height"] / 2)


def test_a_click_plays_and_another_player_stops_the_first(shown):
    click_play(shown, 0)
    shown.wait_for_function(PLAYS, arg=0)
    click_play(shown, 1)
    shown.wait_for_function(PLAYS, arg=1)
    assert shown.evaluate(PAUSED, 0) is True
    click_play(shown, 1)
    shown.wait_for_function(PAUSED, arg=1)


def test_a_clip_that_is_shown_again_plays_there_too(shown):
    again = shown.evaluate("[...document.querySelectorAll('audio')].findIndex(p => p.dataset.same)")
    click_play(shown, again)
    shown.wait_for_function(PLAYS, arg=again)


def test_the_keyboard_reaches_everything_and_plays(shown):
    reached = []
    for _ in range(60):
        shown.keyboard.press("Tab")
        reached.append(shown.evaluate("document.activeElement.id || document.activeElement.tagName"))
        if reached[-1] == "player-1":
            break
    assert reached[0] == "A" and shown.evaluate("document.querySelector('.skip').textContent") == "Skip to the report"
    assert "theme" in reached and reached[-1] == "player-1"
    assert shown.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    shown.keyboard.press("Space")
    shown.wait_for_function(PLAYS, arg=0)
    shown.keyboard.press("Space")
    shown.wait_for_function(PAUSED, arg=0)


def test_the_skip_link_comes_into_sight_and_leads_to_the_report(shown):
    assert shown.locator(".skip").bounding_box()["y"] < 0
    shown.keyboard.press("Tab")
    assert shown.locator(".skip").bounding_box()["y"] >= 0
    shown.keyboard.press("Enter")
    assert shown.evaluate("document.activeElement.id") == "main"


@pytest.mark.parametrize("width", [360, 390, 768, 1280])
def test_the_page_never_scrolls_sideways(shown, width):
    """Names and captions of 2,000 characters included; tables scroll inside themselves."""
    shown.set_viewport_size({"width": width, "height": 800})
    widths = shown.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert widths[0] <= widths[1] == width
    ends = shown.evaluate("[...document.querySelectorAll('.scrolls')].map(e => e.getBoundingClientRect().right)")
    assert max(ends) <= width


def test_a_table_that_scrolls_is_a_stop_for_the_keyboard_and_one_that_fits_is_none(shown):
    stops = "[...document.querySelectorAll('.scrolls')].map(e => [e.scrollWidth > e.clientWidth, e.tabIndex])"
    for width in (1280, 200):
        shown.set_viewport_size({"width": width, "height": 800})
        shown.wait_for_function(f"{stops}.every(([scrolls, stop]) => (stop === 0) === scrolls)")
    assert [True, 0] in shown.evaluate(stops) and [False, -1] in shown.evaluate(stops)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_table_that_scrolls_is_shaded_where_there_is_more_of_it(shown, theme):
    """Colours as painted at the end of a table's caption, where nothing is written, before and after scrolling."""
    shown.emulate_media(color_scheme=theme)
    shown.set_viewport_size({"width": 200, "height": 800})
    table = shown.locator(".scrolls").filter(has=shown.locator("caption")).first

    def colours_at_the_end():
        table.evaluate("e => e.scrollIntoView({behavior: 'instant'})")
        box = table.evaluate("e => { const b = e.getBoundingClientRect(); return [b.right, b.top]; }")
        picture = shown.screenshot(clip={"x": box[0] - 12, "y": box[1] + 1, "width": 12, "height": 2})
        return shown.evaluate(COLOURS, base64.b64encode(picture).decode())

    assert len(colours_at_the_end()) > 5
    table.evaluate("e => { e.scrollLeft = e.scrollWidth; }")
    assert len(colours_at_the_end()) == 1
    shown.set_viewport_size({"width": 1280, "height": 800})
    assert len(colours_at_the_end()) == 1, "it fits"


@pytest.mark.parametrize("by", ["system", "toggle"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_can_be_read(shown, theme, by):
    other = {"light": "dark", "dark": "light"}[theme]
    shown.emulate_media(color_scheme=theme if by == "system" else other)
    if by == "toggle":
        shown.locator("#theme").click()
    is_dark = shown.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(252, 252, 250)"
    assert is_dark == (theme == "dark")
    found = shown.evaluate(CONTRASTS)
    assert len(found) > 100
    assert [each for each in found if each[0] < 4.5] == []


def test_the_toggle_says_what_it_does_and_is_remembered(shown):
    button = shown.get_by_role("button", name="Dark colours")
    button.focus()
    shown.keyboard.press("Enter")
    assert shown.get_by_role("button", name="Light colours").is_visible()
    assert shown.evaluate("localStorage.getItem('atrkit-report-theme')") == "dark"


def test_players_and_landmarks_have_names(shown):
    needy = "[...document.querySelectorAll('audio, nav, [role=group], svg[role=img]')]"
    named = "e => e.ariaLabel || e.getAttribute('aria-labelledby')"
    assert shown.evaluate(f"{needy}.length") > 20 and shown.evaluate(f"{needy}.every({named})")
    for role in ("banner", "navigation", "main", "contentinfo"):
        assert shown.get_by_role(role).count() == 1


def test_what_is_folded_away_opens_for_links_and_for_paper(shown):
    """Of the seeds of one training the first is open."""
    is_open = "[...document.querySelectorAll('.seed')].map(seed => seed.open)"
    assert shown.evaluate(is_open) == [True, False]
    shown.evaluate("location.hash = '#seed-2-recall'")
    shown.wait_for_function(f"{is_open}.every(open => open)")
    folded = "[...document.querySelectorAll('details:not([open])')].filter(e => !e.closest('figure')).length"
    before = shown.evaluate(folded)
    shown.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert before > 0 and shown.evaluate(folded) == 0
    shown.evaluate("dispatchEvent(new Event('afterprint'))")
    assert shown.evaluate(folded) == before


def test_paper_is_white_and_has_no_players(shown):
    shown.emulate_media(media="print", color_scheme="dark")
    assert shown.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert not shown.locator("audio").first.is_visible() and not shown.locator("nav").is_visible()


def test_paper_has_the_numbers_of_a_chart_where_they_were_opened(shown):
    shown.emulate_media(media="print")
    numbers = shown.locator("figure details")
    first, second = numbers.nth(0), numbers.nth(1)
    shown.evaluate("document.querySelector('figure details').open = true")
    shown.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert first.is_visible() and first.locator("table").is_visible()
    assert not second.is_visible(), "neither the numbers nor the line that they are folded away under"
    assert shown.locator(".seed").nth(1).locator("table").first.is_visible()


def test_text_from_outside_runs_nothing(shown):
    assert shown.title() == "first/seed-1"
    assert shown.locator("main script").count() == 0


def test_nothing_was_asked_for_and_nothing_complained(opened, shown):
    """The file itself, and audio that is in it; and the policy would not let the page ask."""
    assert opened.requests and all(url.startswith(("file:", "data:")) for url in opened.requests)
    assert opened.complaints == []
    before = len(opened.requests)
    refused = shown.evaluate("fetch('http://127.0.0.1:9/').then(() => 'asked', error => String(error))")
    assert "TypeError" in refused and any("Content Security Policy" in each for each in opened.complaints)
    assert len(opened.requests) == before
    opened.complaints.clear()
