"""The page as text: escaped, whole, allowed to load nothing, and the same every time."""

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from atrkit.reports.page.content import RunGroup
from atrkit.reports.page.render import is_report, render_page
from tests.reports.page.made_up import HOSTILE, examples, page, run, table


class Parsed(HTMLParser):
    """Elements with their attributes, and the text of the page without style and script."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._is_code = False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._is_code = tag in ("style", "script")

    def handle_endtag(self, tag):
        self._is_code = False

    def handle_data(self, data):
        self.text += "" if self._is_code else data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


PLAIN = render_page(page())
SEVERAL = render_page(page(run("run-a"), run("run-b")))


def everywhere(text):
    shown = {"examples": examples(text), "name": text, "recipe": text, "warnings": (text,), "recall": table(text, text)}
    return page(run(**shown), title=text, lead=text)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_text_from_outside_stays_text(hostile):
    """Wherever it stands it makes not one element or attribute more than harmless text does."""
    with_it, without = (Parsed(render_page(everywhere(text))) for text in (hostile, "x"))
    assert hostile.replace("/", "") in with_it.text.replace("/", "")
    tags = [(tag, sorted(attributes)) for tag, attributes in with_it.elements if tag != "wbr"]
    assert tags == [(tag, sorted(attributes)) for tag, attributes in without.elements]


def test_nothing_is_loaded_from_anywhere():
    for html in (PLAIN, SEVERAL):
        parsed = Parsed(html)
        places = [
            a[name] for _, a in parsed.elements for name in ("src", "href", "action", "srcset", "poster") if name in a
        ]
        assert places and all(place.startswith(("#", "data:")) for place in places)
        assert not re.search(r"@import|url\(", html)
        assert not {"style", "onclick", "onload"} & {name for _, attributes in parsed.elements for name in attributes}


def test_the_policy_admits_this_style_and_this_script_by_hash_and_nothing_else():
    policy = next(a["content"] for a in Parsed(PLAIN).all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules.keys() == {"default-src", "style-src", "script-src", "media-src", "img-src", "base-uri", "form-action"}
    assert rules["default-src"] == "'none'" and rules["media-src"] == "data:"
    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        (inside,) = re.findall(f"<{tag}>(.*?)</{tag}>", PLAIN, flags=re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"


def test_a_clip_is_in_the_page_once_however_often_it_is_shown():
    audio, rain = (base64.b64encode(data).decode() for data in (b"ID3 no real audio", b"ID3 no real audio rain"))
    players = Parsed(PLAIN).all("audio")
    assert len(players) == 3  # the dog as result and as query, the rain
    with_data = [player for player in players if "src" in player]
    assert [player["src"] for player in with_data] == [f"data:audio/mpeg;base64,{each}" for each in (audio, rain)]
    (again,) = (player for player in players if "data-same" in player)
    assert again["data-same"] == with_data[0]["id"]
    assert PLAIN.count(f'base64,{audio}"') == 1


def test_every_player_says_what_it_plays():
    labels = [player["aria-label"] for player in Parsed(PLAIN).all("audio")]
    assert labels == [
        "Play rank 1, the right clip: a dog barks",
        "Play rank 2: rain falls on a roof",
        "Play the clip that is searched for, dog.wav",
    ]


def test_what_is_missing_and_what_was_cut_is_said():
    text = " ".join(Parsed(PLAIN).text.split())
    assert "No player: its file is gone: /data/gone.wav" in text
    assert "rain.wav, 61.0 s (the first 30 s can be played)" in text


def test_without_audio_there_is_no_player_and_no_word_of_missing_ones():
    html = render_page(page(sounds={}))
    assert not Parsed(html).all("audio") and "No player" not in html
    assert "a dog barks" in html


def test_the_truth_is_marked_in_words_too():
    text = " ".join(Parsed(PLAIN).text.split())
    assert text.count("right clip dog.wav") == 1 and text.count("its own caption") == 1


def test_ids_are_unique_and_every_link_and_label_leads_somewhere():
    for html in (PLAIN, SEVERAL):
        parsed = Parsed(html)
        ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
        assert len(ids) == len(set(ids))
        links = [attributes["href"][1:] for attributes in parsed.all("a") if attributes["href"].startswith("#")]
        labels = [each for _, a in parsed.elements for each in (a.get("aria-labelledby") or "").split()]
        assert len(links) > 3 and set(links) | set(labels) <= set(ids)


@pytest.mark.parametrize("seeds", [1, 2])
@pytest.mark.parametrize("runs", [1, 2])
def test_headings_are_in_order(runs, seeds):
    """One h1, and never a level left out on the way down."""
    groups = tuple(
        RunGroup(
            f"g{group}", "g", table("mean") if seeds > 1 else None, tuple(run(f"run-{group}-{s}") for s in range(seeds))
        )
        for group in range(runs)
    )
    whole = page(*(run(f"x{n}") for n in range(2))) if runs * seeds > 1 else page()
    html = render_page(replace(whole, groups=groups) if runs * seeds > 1 else whole)
    levels = [int(level) for level in re.findall(r"<h([1-9])[ >]", html)]
    assert levels.count(1) == 1 and levels[0] == 1 and max(levels) <= 6
    assert all(below - above <= 1 for above, below in pairwise(levels))


def test_the_same_page_gives_the_same_text():
    assert render_page(page()) == PLAIN


def test_only_pages_of_ours_are_known_as_such():
    assert is_report(PLAIN.encode())
    assert not is_report(b"<!doctype html><p>my thesis about atrkit report</p>")
    assert not is_report(b"")
    assert not is_report(b" " * 5000 + PLAIN.encode())
