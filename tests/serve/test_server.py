"""The server as a client meets it."""

import io
import shutil
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from atrkit.errors import IntegrityError, MissingPrerequisiteError
from atrkit.serve import application
from atrkit.serve.guard import LARGEST_UPLOAD_BYTES
from atrkit.workflows.live_search import LiveSearch
from tests.serve.world import KINDS, SOUNDS, make_index, make_sounds, serving, toy_model, vector_of, wave_of


def scores_by_hand(query: np.ndarray) -> dict[str, float]:
    """Each file's best window."""
    query = query / np.linalg.norm(query)
    return {path: max(float(vector_of([kind]) @ query) for kind in kinds) for path, kinds, *_ in SOUNDS}


def found(record) -> dict[str, float]:
    return {f"{hit['folder']}/{hit['name']}".lstrip("/"): hit["score"] for hit in record["results"]}


def test_a_search_finds_what_a_loop_finds_and_says_where(served):
    record = served.ask("/api/search?q=a+bell+rings").json
    assert found(record) == pytest.approx(scores_by_hand(vector_of(["bell"])), abs=1e-3)
    scores = [hit["score"] for hit in record["results"]]
    assert scores == sorted(scores, reverse=True)
    long = next(hit for hit in record["results"] if hit["name"] == "a long walk.flac")
    assert (long["folder"], long["start_s"], long["end_s"], long["duration_s"]) == ("field", 10.0, 20.0, 30.0)
    bell = record["results"][0]
    assert (bell["name"], bell["caption"], bell["id"]) == ("bell.ogg", "A bell rings once", served.id_of("bell.ogg"))
    assert len(served.ask("/api/search?q=bell&k=2").json["results"]) == 2


def test_what_is_not_wanted_is_pushed_away(served):
    record = served.ask("/api/search?q=bell&not=rain").json
    expected = scores_by_hand(vector_of(["bell"]) - 0.5 * vector_of(["rain"]))
    assert found(record) == pytest.approx(expected, abs=1e-3)


def test_more_like_a_part_of_a_file_is_by_that_part_and_without_the_file(served):
    walk = served.id_of("field/a long walk.flac")
    record = served.ask(f"/api/search?like={walk}@20.0").json
    expected = scores_by_hand(vector_of(["dog"]))
    del expected["field/a long walk.flac"]
    assert found(record) == pytest.approx(expected, abs=1e-3)
    assert record["like"] == {"id": walk, "name": "a long walk.flac", "start_s": 20.0}
    assert len(served.ask(f"/api/search?like={walk}@20.0&k=2").json["results"]) == 2
    both = served.ask(f"/api/search?like={walk}@20.0&q=rain").json
    assert found(both)["rain.wav"] == pytest.approx(
        scores_by_hand(vector_of(["dog"]) + vector_of(["rain"]))["rain.wav"], abs=1e-3
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_sound_finds_its_kind(served, kind):
    buffer = io.BytesIO()
    soundfile.write(buffer, wave_of(kind, 2.0, 22050), 22050, format="FLAC")
    record = served.ask("/api/search-by-sound?k=6", "POST", buffer.getvalue()).json
    assert found(record) == pytest.approx(scores_by_hand(vector_of([kind])), abs=1e-3)


def test_of_a_long_sound_the_beginning_is_searched_by_and_that_is_said(served):
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(3600 * 8000, np.int16), 8000, format="FLAC")  # an hour in a small file
    assert len(buffer.getvalue()) < 2_000_000
    start_s = time.perf_counter()
    record = served.ask("/api/search-by-sound", "POST", buffer.getvalue()).json
    assert record["notes"] == ["only the first two minutes of the sound are searched by"]
    assert time.perf_counter() - start_s < 5


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b"no sound at all", "text, not audio"),
        (b"RIFF" + bytes(1000), "cannot be"),
        (b"<html><script>alert(1)</script></html>", "web page"),
    ],
)
def test_what_is_no_sound_is_refused_in_words(served, body, says):
    answer = served.ask("/api/search-by-sound", "POST", body)
    assert answer.status == 400 and says in answer.json["error"]
    assert "/" not in answer.json["error"].replace("/sound", "")


@pytest.mark.parametrize(
    "query",
    [
        "", "q=", "q=%20", "q=" + "x" * 501, "q=rain&not=" + "x" * 501, "q=rain&k=0", "q=rain&k=101", "q=rain&k=-1",
        "q=rain&k=1e2", "q=rain&k=%D9%A3", "like=x", "like=0000000000000000@1", "like=x@nan", "like=x@1e99",
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused_in_words(served, query):
    answer = served.ask(f"/api/search?{query}")
    assert answer.status == 400 and len(answer.json["error"]) > 5


def test_unknown_words_are_noted_for_who_asked_and_not_for_others(served):
    assert "zeppelin" in served.ask("/api/search?q=zeppelin").json["notes"][0]
    assert served.ask("/api/search?q=rain").json["notes"] == []
    assert not any("zeppelin" in line for line in served.said)


def test_seeking_gets_parts_of_the_file(served):
    whole = (served.sounds / "rain.wav").read_bytes()
    path = f"/api/audio/{served.id_of('rain.wav')}"
    full = served.ask(path)
    assert (full.status, full.body, full.headers["accept-ranges"]) == (200, whole, "bytes")
    part = served.ask(path, range="bytes=1000-1999")
    assert (part.status, part.body) == (206, whole[1000:2000])
    assert part.headers["content-range"] == f"bytes 1000-1999/{len(whole)}"
    assert served.ask(path, range="bytes=-10").body == whole[-10:]
    behind = served.ask(path, range=f"bytes={len(whole)}-")
    assert (behind.status, behind.headers["content-range"]) == (416, f"bytes */{len(whole)}")
    head = served.ask(path, "HEAD")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(whole)))
    assert served.ask(path, "HEAD", range="bytes=0-9").headers["content-length"] == "10"
    assert served.ask(path, range="bytes=0-9", if_range=full.headers["etag"]).status == 206
    assert served.ask(path, range="bytes=0-9", if_range='"other"').body == whole
    known = served.ask(path, if_none_match=full.headers["etag"])
    assert (known.status, known.body, known.headers["etag"]) == (304, b"", full.headers["etag"])
    assert served.ask(path, if_none_match='"other"').body == whole


def test_what_browsers_cannot_play_comes_as_wav_in_parts_too(served):
    path = f"/api/audio/{served.id_of('whistle.aiff')}"
    full = served.ask(path)
    assert full.headers["content-type"] == "audio/wav" and full.body[:4] == b"RIFF"
    assert soundfile.info(io.BytesIO(full.body)).duration == pytest.approx(3.0)
    assert served.ask(path, range="bytes=99999-100009").body == full.body[99999:100010]


def test_pictures_are_of_windows_that_can_be_drawn(served):
    path = f"/api/peaks/{served.id_of('field/a long walk.flac')}"
    record = served.ask(f"{path}?start=10&end=20").json
    assert len(record["peaks"]) == 160 and max(record["peaks"]) == 100
    for query in ("", "start=0&end=61", "start=5&end=5", "start=nan&end=1", "start=-1&end=1", "start=a&end=b"):
        assert served.ask(f"{path}?{query}").status == 400
    assert served.ask("/api/peaks/0000000000000000?start=0&end=1").status == 404


def test_a_file_that_is_gone_or_changed_is_said(tmp_path):
    with serving(tmp_path) as served:
        (served.sounds / "rain.wav").unlink()
        with (served.sounds / "dog.mp3").open("ab") as file:
            file.write(b"more")
        for name, says in (("rain.wav", "not where it was"), ("dog.mp3", "changed")):
            for path in (f"/api/audio/{served.id_of(name)}", f"/api/peaks/{served.id_of(name)}?start=0&end=1"):
                answer = served.ask(path)
                assert (
                    answer.status == 404 and says in answer.json["error"] and str(tmp_path) not in answer.body.decode()
                )
        there = {hit["name"]: hit["is_there"] for hit in served.ask("/api/search?q=rain").json["results"]}
        assert [name for name, is_there in there.items() if not is_there] == ["rain.wav", "dog.mp3"]


def test_an_index_that_was_brought_up_to_date_is_searched_at_once(tmp_path):
    with serving(tmp_path) as served:
        assert served.ask("/api/about").json["files"] == 6
        make_index(served.workspace, served.sounds, ["dog.mp3", "bell.ogg"])
        assert set(found(served.ask("/api/search?q=rain").json)) == {"dog.mp3", "bell.ogg"}
        assert served.ask(f"/api/audio/{served.id_of('rain.wav')}").status == 404
        assert served.ask("/api/about").json["files"] == 2
        assert "index toy was brought up to date: 2 files" in served.said
        (served.workspace / "index" / "toy" / "index.json").write_text("{")
        for _ in range(3):
            assert len(served.ask("/api/search?q=rain").json["results"]) == 2
        assert sum("the old one is searched" in line for line in served.said) == 1
        shutil.rmtree(served.workspace / "index")
        assert len(served.ask("/api/search?q=rain").json["results"]) == 2


def test_copies_are_one_hit_and_say_where_else_they_are_below_the_folder(tmp_path):
    make_sounds(tmp_path / "sounds")
    elsewhere = tmp_path / "elsewhere" / "of a dataset.wav"
    elsewhere.parent.mkdir()
    for copy in (tmp_path / "sounds" / "field" / "rain again.wav", elsewhere):
        shutil.copy(tmp_path / "sounds" / "rain.wav", copy)
    copies = [("field/rain again.wav", ("rain",), 6.0, ()), (str(elsewhere), ("rain",), 6.0, ())]
    make_index(tmp_path / "workspace", tmp_path / "sounds", sounds=[*SOUNDS, *copies])
    with serving(tmp_path) as served:
        hits = served.ask("/api/search?q=rain&k=100").json["results"]
        assert len(hits) == 6 and str(tmp_path) not in str(hits)
        names = {f"{hits[0]['folder']}/{hits[0]['name']}".lstrip("/"), *hits[0]["copies"]}
        assert names == {"rain.wav", "field/rain again.wav", "of a dataset.wav"}
        for path in ("rain.wav", "field/rain again.wav", str(elsewhere)):
            assert served.ask(f"/api/audio/{served.id_of(path)}", "HEAD").status == 200
            assert len(served.ask(f"/api/search?like={served.id_of(path)}@0").json["results"]) == 5
        paths = {
            served.id_of(path): served.sounds / path for path in ("rain.wav", "field/rain again.wav", str(elsewhere))
        }
        paths[hits[0]["id"]].unlink()
        first = served.ask("/api/search?q=rain").json["results"][0]
        assert first["is_there"] and first["id"] != hits[0]["id"]  # it is heard from one of the others
        assert served.ask(f"/api/audio/{first['id']}", "HEAD").status == 200


def test_every_answer_has_the_headers_that_keep_the_page_to_itself(served):
    paths = ["/", "/page.js", "/api/search?q=rain", "/api/search", "/nothing", f"/api/audio/{served.id_of('rain.wav')}"]
    answers = [served.ask(path) for path in paths] + [served.ask("/", "DELETE"), served.ask("/", host="evil.example")]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'" and policy["script-src"] == policy["connect-src"] == "'self'"
        assert "unsafe" not in str(policy) and "*" not in str(policy)
        assert "server" not in answer.headers and "access-control-allow-origin" not in answer.headers
    assert [answer.status for answer in answers[-2:]] == [405, 400]


def test_nothing_but_the_page_and_the_api_is_there(served):
    for path in (
        "/docs",
        "/openapi.json",
        "/redoc",
        "/index.html",
        "/page/",
        "/api",
        "/api/audio/",
        "/sounds/rain.wav",
    ):
        assert served.ask(path).status == 404, path
    assert served.ask("/", "POST", b"x").status == 405
    page = served.ask("/")
    assert served.ask("/", if_none_match=page.headers["etag"]).status == 304


def test_pages_of_other_sites_cannot_search(served):
    body = (served.sounds / "bell.ogg").read_bytes()
    assert served.ask("/api/search-by-sound", "POST", body, origin="http://evil.example").status == 403
    assert served.ask("/api/search-by-sound", "POST", body, origin="null").status == 403
    assert served.ask("/api/search-by-sound", "POST", body, origin=served.url).status == 200


def test_a_bug_is_one_line_at_the_terminal_and_a_plain_answer(tmp_path, monkeypatch):
    def fails(*_):
        raise RuntimeError("secret path /home/me")

    with serving(tmp_path) as served:
        monkeypatch.setattr(LiveSearch, "find", fails)
        answer = served.ask("/api/search?q=rain")
        assert (answer.status, answer.headers["cache-control"]) == (500, "no-store")
        assert (
            answer.headers["x-content-type-options"] == "nosniff"
            and "'none'" in answer.headers["content-security-policy"]
        )
        assert answer.json == {"error": "something went wrong: the terminal of atrkit serve says what"}
        assert "this is a bug in atrkit, please report it: RuntimeError: secret path /home/me" in served.said


def test_what_is_wrong_with_the_index_is_for_the_terminal_as_it_names_paths(tmp_path, monkeypatch):
    def is_damaged(*_):
        raise IntegrityError("/home/me/index/toy/segments/001.h5 is damaged")

    with serving(tmp_path) as served:
        monkeypatch.setattr(LiveSearch, "find", is_damaged)
        answer = served.ask("/api/search?q=rain")
        assert answer.status == 500
        assert answer.json["error"] == "the index or its model cannot be used: the terminal of atrkit serve says why"
        assert "/home/me/index/toy/segments/001.h5 is damaged" in served.said


def test_a_sound_that_the_model_makes_nothing_of_is_not_called_by_a_path_of_the_server(tmp_path, monkeypatch):
    def encodes_nothing(_):
        return SimpleNamespace(frames=[np.full((1, len(KINDS) + 1), np.nan, np.float32)])

    def broken_model(*words):
        return replace(toy_model(*words), open_windows=lambda: SimpleNamespace(encode=encodes_nothing))

    monkeypatch.setattr("tests.serve.world.toy_model", broken_model)
    with serving(tmp_path) as served:
        answer = served.ask("/api/search-by-sound", "POST", (served.sounds / "rain.wav").read_bytes())
    assert (answer.status, answer.json) == (400, {"error": "this sound: its embedding is not finite"})


def test_a_body_without_length_is_cut_at_the_limit(served, monkeypatch):
    monkeypatch.setattr(application, "LARGEST_UPLOAD_BYTES", 100_000)
    with socket.create_connection((served.host, served.port), timeout=10) as connection:
        connection.sendall(
            b"POST /api/search-by-sound HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(11):
            connection.sendall(b"2710\r\n" + bytes(10_000) + b"\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_gigabyte_is_refused_before_it_is_sent(served):
    with socket.create_connection((served.host, served.port), timeout=10) as connection:
        head = b"POST /api/search-by-sound HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
        connection.sendall(head % 1_000_000_000)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    assert received.startswith(b"HTTP/1.1 413 ") and b'"error"' in received  # and the connection was ended
    just_too_large = served.raw(head % (LARGEST_UPLOAD_BYTES + 1))
    assert just_too_large.startswith(b"HTTP/1.1 413 ")


def test_sixteen_clients_at_once_get_what_one_gets(served):
    walk = served.id_of("field/a long walk.flac")
    paths = [
        "/api/search?q=rain", "/api/search?q=a+dog&not=bell", f"/api/search?like={walk}@10", "/",
        f"/api/peaks/{walk}?start=0&end=10", f"/api/audio/{served.id_of('whistle.aiff')}", "/api/about",
        "/api/search?k=0",
    ]  # fmt: skip
    timeless = {path: without_seconds(served.ask(path)) for path in paths}
    asked = paths * 8
    with ThreadPoolExecutor(16) as clients:
        answers = list(clients.map(served.ask, asked))
    assert [without_seconds(answer) for answer in answers] == [timeless[path] for path in asked]


def without_seconds(answer):
    if answer.headers["content-type"] != "application/json":
        return answer.status, answer.body
    return answer.status, {key: value for key, value in answer.json.items() if key != "seconds"}


def test_the_audio_side_is_opened_while_the_page_is_looked_at(tmp_path, monkeypatch):
    opened, is_open = [], threading.Event()

    def model_that_counts(*words):
        model = toy_model(*words)

        def open_windows():
            opened.append(threading.current_thread().name)
            is_open.set()
            return model.open_windows()

        return replace(model, open_windows=open_windows)

    monkeypatch.setattr("tests.serve.world.toy_model", model_that_counts)
    with serving(tmp_path) as served:
        assert not opened
        assert [served.ask("/api/about").status for _ in range(3)] == [200] * 3
        assert is_open.wait(10)
        answer = served.ask("/api/search-by-sound", "POST", (served.sounds / "rain.wav").read_bytes())
        assert answer.status == 200
    assert opened == ["atrkit-sounds"]


def test_an_audio_side_that_cannot_be_opened_stops_nothing(tmp_path, monkeypatch):
    tried = threading.Event()

    def open_windows():
        tried.set()
        raise MissingPrerequisiteError("its weights are gone")

    monkeypatch.setattr(
        "tests.serve.world.toy_model", lambda *words: replace(toy_model(*words), open_windows=open_windows)
    )
    with serving(tmp_path) as served:
        assert served.ask("/api/about").status == 200
        assert tried.wait(10)
        assert served.ask("/api/search?q=rain").status == 200
