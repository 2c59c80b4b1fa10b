"""The page's files: they load nothing from elsewhere, turn no text into HTML, and look like the report."""

import re
from importlib import resources

import pytest

from atrkit.serve.guard import LARGEST_UPLOAD_BYTES

FILES = {path.name: path.read_text("utf-8") for path in resources.files("atrkit.serve").joinpath("page").iterdir()}
REPORT_CSS = resources.files("atrkit.reports.page").joinpath("templates", "page.css").read_text("utf-8")


def colours(css: str) -> list[tuple[str, str]]:
    return re.findall(r"(--[\w-]+): ([^;]+);", css.partition("*, *::before")[0])


def test_the_page_and_the_report_have_the_same_colours_and_letters():
    only_of_the_report = ("--shade",)  # of its tables that scroll
    of_report = [(name, value) for name, value in colours(REPORT_CSS) if name not in only_of_the_report]
    assert colours(FILES["page.css"]) == of_report and len(of_report) > 40


def test_the_page_sends_what_the_server_takes():
    assert re.findall(r"const LARGEST_BYTES = (\w+);", FILES["files.js"]) == [f"{LARGEST_UPLOAD_BYTES:_}"]


def test_every_file_of_the_page_is_given(served):
    for name, text in FILES.items():
        address = "/" if name == "index.html" else f"/{name}"
        assert served.ask(address).body.decode() == text


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_loaded_from_elsewhere(name):
    addresses = re.findall(r"(?:https?:)?//[\w.]+", re.sub(r"^\s*//.*$|;\s*//.*$", "", FILES[name], flags=re.MULTILINE))
    assert [each for each in addresses if each != "http://www.w3.org"] == []


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".js")])
def test_text_never_becomes_html_or_code(name):
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser", FILES[name]
    )


def test_the_document_has_no_script_or_style_of_its_own():
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", FILES["index.html"]) == []
