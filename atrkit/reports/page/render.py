"""The page as text: jinja2 with autoescape, and a policy that lets the browser load nothing."""

import base64
import hashlib
from functools import cache
from importlib import resources

import jinja2
from markupsafe import Markup

from atrkit.reports.charts.chart import CHART_CSS
from atrkit.reports.page.content import ReportPage, RunSection, Sound

GENERATOR = "atrkit report"
_MARK = f'<meta name="generator" content="{GENERATOR}'.encode()
_MARK_WITHIN_BYTES = 2048


def render_page(page: ReportPage) -> str:
    """The page as one HTML document, which needs no other file and no network.

    The same page gives the same text. Every value is escaped, but for the drawings of charts. A content security
    policy admits this style sheet and this script by their hashes, audio that is in the page, and nothing else.

    Args:
        page: what it holds.

    Source: our choice.
    """
    css, script = _resource("page.css") + CHART_CSS, _resource("page.js")
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            page=page,
            generator=f"{GENERATOR} {page.version}",
            policy=_policy(css, script),
            # our own files; between <style> and <script> nothing is escaped
            css=Markup(css),
            script=Markup(script),
            players=_Players(page),
            contents=_contents(page.groups[0].runs[0]),
        )
    )


def is_report(data: bytes) -> bool:
    """Whether the beginning of a file says that `atrkit report` wrote it: only such a file is replaced.

    >>> is_report(b'<!doctype html><meta name="generator" content="atrkit report 0.1.0">')
    True
    >>> is_report(b"<!doctype html><title>My thesis</title>")
    False
    """
    return _MARK in data[:_MARK_WITHIN_BYTES]


def _contents(run: RunSection) -> list[tuple[str, str]]:
    """Anchor and heading of the parts that a run's section has."""
    parts = [("run", "What was run"), ("recall", "Recall")]
    parts += [("charts", "Charts")] if run.charts else []
    parts += [("hubs", "Hub captions")] if run.hub_charts else []
    parts += [("perturbation", "Changed captions")]
    return [*parts, *([("examples", "Examples")] if run.examples else [])]


class _Players:
    """Numbers clips in the order of the page; the first player of a clip holds its audio, later ones point to it."""

    def __init__(self, page: ReportPage) -> None:
        self._sounds = page.sounds
        self._number_of: dict[str, int] = {}

    def sound(self, key: str) -> Sound | None:
        """The clip of a key."""
        return self._sounds.get(key)

    def holds(self, key: str) -> bool:
        """Whether this place is the clip's first, which holds its audio; from then on it is not."""
        is_first = key not in self._number_of
        self._number_of.setdefault(key, len(self._number_of) + 1)
        return is_first

    def anchor(self, key: str) -> str:
        """Id of the player that holds the audio."""
        return f"player-{self._number_of[key]}"

    def data_url(self, key: str) -> str:
        """The audio itself."""
        sound = self._sounds[key]
        assert sound.data is not None
        return f"data:{sound.media_type};base64,{base64.b64encode(sound.data).decode()}"


def _policy(css: str, script: str) -> str:
    return (
        f"default-src 'none'; style-src {_hash(css)}; script-src {_hash(script)}; media-src data:; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _resource(name: str) -> str:
    return resources.files("atrkit.reports.page").joinpath("templates", name).read_text(encoding="utf-8")


def _breakable(name: str) -> Markup:
    """A name of a run or a file, which may take a new line behind a slash.

    >>> print(_breakable("a&b/c"))
    a&amp;b/<wbr>c
    """
    return Markup("/<wbr>").join(name.split("/"))


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_resource),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["breakable"] = _breakable
    return environment
