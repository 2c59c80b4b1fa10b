"""`atrkit serve` as a user starts and ends it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from atrkit.cli.app import app
from tests.serve.world import make_index, make_sounds

pytest.importorskip("fastapi", reason="pip install 'atrkit[search]'")

# the toy model stands in for one that was trained; everything else is the command as it is
TOY_SERVER = """\
import sys
from tests.serve import world
from atrkit.workflows import query_model
query_model.open_query_model = world.toy_model
encode_as_ever = world.kind_of
def kind_of(wave):
    if len(wave) > 100 * world.RATE_HZ:  # a model that takes its time
        import time
        print("encoding", flush=True)
        time.sleep(60)
    return encode_as_ever(wave)
world.kind_of = kind_of
from atrkit.cli.app import main
sys.argv = ["atrkit", *sys.argv[1:]]
main()
"""


def serve(*words: object, code: int, env: dict[str, str] | None = None) -> str:
    result = CliRunner().invoke(app, ["serve", *map(str, words)], env=env)
    assert result.exit_code == code, (result.exit_code, result.stderr)
    assert len(result.stderr.splitlines()) == 1
    return result.stderr


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("command")
    make_sounds(root / "sounds")
    make_index(root / "workspace", root / "sounds")
    return root / "workspace"


@pytest.fixture
def child(workspace: Path):
    command = [sys.executable, "-c", TOY_SERVER, "serve", "--port", "0", "--json", "--workspace", str(workspace)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    yield process
    process.kill()
    process.communicate()


def first_record(child: subprocess.Popen) -> dict:
    lines = []
    while not lines or lines[-1].rstrip() != "}":
        line = child.stdout.readline()
        assert line, child.stderr.read()
        lines.append(line)
    return json.loads("".join(lines))


def test_it_says_where_it_is_answers_and_ends_at_once_even_while_it_encodes(child, tmp_path):
    record = first_record(child)
    assert record["url"] == f"http://127.0.0.1:{record['port']}/" and record["files"] == 6
    with urllib.request.urlopen(record["url"] + "api/search?q=bell", timeout=10) as answer:
        assert json.load(answer)["results"][0]["name"] == "bell.ogg"
    soundfile.write(tmp_path / "long.flac", np.zeros(110 * 16000), 16000)
    sound = (tmp_path / "long.flac").read_bytes()
    request = f"POST /api/search-by-sound HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(sound)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", record["port"]), timeout=10) as connection:
        connection.sendall(request.encode() + sound)
        assert child.stdout.readline() == "encoding\n"
        start_s = time.perf_counter()
        child.send_signal(signal.SIGINT)
        assert child.wait(10) == 130
        assert time.perf_counter() - start_s < 1.0
    assert child.stderr.read().splitlines()[1:] == [
        "atrkit: interrupted; nothing is half written, run the same command again"
    ]


def test_a_port_in_use_is_one_line_with_the_way_out(workspace):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = serve("--port", port, "--workspace", workspace, code=2)
    assert f"port {port} is in use" in said and "--port 0" in said


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "myhost.example"])
def test_others_are_let_in_with_a_token_only(host, workspace):
    said = serve("--host", host, "--workspace", workspace, code=2)
    suggested = re.search(r"--token (\S+)$", said)
    assert suggested and len(suggested[1]) >= 20
    for token in ("short", "x" * 15, "with spaces and more", 'quote"quote"quote"', "ünïcödé-and-long-enough"):
        refused = serve("--host", host, "--token", token, "--workspace", workspace, code=2)
        assert "at least 16" in refused and token not in refused
    assert "is no address of this computer" in serve(
        "--host", "192.0.2.1", "--token", suggested[1], "--workspace", workspace, code=2
    )


def test_a_host_that_nobody_knows(workspace, monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    token = "0123456789abcdef"
    assert "no address of this computer" in serve(
        "--host", "nowhere.invalid", "--workspace", workspace, code=2, env={"ATRKIT_TOKEN": token}
    )


def test_without_the_extra_it_says_what_to_install(workspace, monkeypatch):
    monkeypatch.setitem(sys.modules, "fastapi", None)
    assert "pip install 'atrkit[search]'" in serve("--workspace", workspace, code=3)


def test_without_an_index_it_says_how_to_make_one(tmp_path):
    assert "atrkit index FOLDER" in serve("--port", 0, "--workspace", tmp_path, code=3)
