"""Who is let in by a token."""

from http.cookiejar import CookieJar
from urllib.request import HTTPCookieProcessor, build_opener

import pytest

from atrkit.workflows.serve import ServeOptions
from tests.serve.world import serving

TOKEN = "a-token-of-24-characters"
OTHER_TOKEN = "another-token-of-32-characters--"


def test_who_shows_the_token_gets_in_and_the_token_leaves_the_address(tmp_path):
    with serving(tmp_path, ServeOptions(port=0, token=TOKEN)) as served:
        for path in (
            "/",
            "/page.js",
            "/api/search?q=rain",
            f"/api/search?q=rain&token={TOKEN}",
            f"/?token={TOKEN}x",
            "/?token=",
        ):
            answer = served.ask(path)
            assert answer.status == 401 and TOKEN not in str(answer), path
        opened = served.ask(f"/?q=rain%20%26&token={TOKEN}&k=20")
        assert (opened.status, opened.headers["location"]) == (303, "/?q=rain+%26&k=20")
        cookie = opened.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite" in cookie
        pair = cookie.partition(";")[0]
        assert served.ask("/api/search?q=rain", cookie=f"other=1; {pair}").status == 200
        assert served.ask("/api/search?q=rain", authorization=f"Bearer {TOKEN}").status == 200
        assert served.ask("/api/search?q=rain", authorization=f"Bearer {TOKEN[:-1]}").status == 401
        assert served.ask("/api/search?q=rain", cookie=f"{pair.partition('=')[0]}=").status == 401
        assert served.ask("/", host="evil.example", authorization=f"Bearer {TOKEN}").status == 400
        assert not any(TOKEN in line for line in served.said)


@pytest.mark.parametrize(
    "foreign",
    ['theme={"a":1}', "weird[x]=1", 'a="b c', "n\xe4me=1", "=", "novalue", "x=1=2", "atrkit_token_1=wrong", "a=;;;b"],
)
def test_cookies_of_others_lock_nobody_out(tmp_path, foreign):
    with serving(tmp_path, ServeOptions(port=0, token=TOKEN)) as served:
        opened = served.ask(f"/?token={TOKEN}")
        own = opened.headers["set-cookie"].partition(";")[0]
        for cookie in (f"{foreign}; {own}", f"{own}; {foreign}", f"{own};{foreign};"):
            assert served.ask("/api/about", cookie=cookie).status == 200
        assert served.ask("/api/about", cookie=f"{foreign}; x{own}").status == 401


def test_servers_at_two_ports_of_a_host_keep_their_cookies_apart(tmp_path):
    browser = build_opener(HTTPCookieProcessor(CookieJar()))
    options = [ServeOptions(port=0, token=token) for token in (TOKEN, OTHER_TOKEN)]
    with serving(tmp_path / "one", options[0]) as one, serving(tmp_path / "two", options[1]) as two:
        for served, token in ((one, TOKEN), (two, OTHER_TOKEN)):
            browser.open(f"{served.url}/?token={token}", timeout=10).close()
        for served in (one, two, one):
            with browser.open(f"{served.url}/api/about", timeout=10) as answer:
                assert answer.status == 200
