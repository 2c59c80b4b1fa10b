"""A server whose disk takes nothing more: who searches by a sound is told so, and the terminal says what to do."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from atrkit.errors import ResourceError
from atrkit.serve.uploads import keep_beginning
from tests.serve.world import serving

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")

# a process of its own, as the limit cannot be lifted again
DECODE = """
import resource, sys
from pathlib import Path
from atrkit.errors import ResourceError
from atrkit.serve.uploads import keep_beginning
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    keep_beginning(Path(sys.argv[1]), Path(sys.argv[2]))
except ResourceError as error:
    print(error)
"""


def test_a_missing_folder_for_temporary_files_is_said(tmp_path, monkeypatch):
    with serving(tmp_path) as served:
        body = (served.sounds / "bell.ogg").read_bytes()
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
        answer = served.ask("/api/search-by-sound", "POST", body)
        assert answer.json == {"error": "the disk cannot be used: the terminal of atrkit serve says why"}
        assert answer.status == 500
        assert served.said[1:] == [
            "a sound to search by cannot be kept on the disk (No such file or directory): make room in the folder of "
            "temporary files, or set TMPDIR to another folder and start again"
        ]
        monkeypatch.setattr(tempfile, "tempdir", None)
        assert served.ask("/api/search-by-sound", "POST", body).status == 200


def test_a_disk_that_fills_while_a_sound_arrives_is_said(tmp_path, monkeypatch):
    class FullFolder:
        def __init__(self, **_):
            self.name = tmp_path / "full"
            self.name.mkdir()
            (self.name / "sent").symlink_to("/dev/full")

        def __enter__(self):
            return str(self.name)

        def __exit__(self, *_):
            pass

    with serving(tmp_path) as served:
        monkeypatch.setattr(tempfile, "TemporaryDirectory", FullFolder)
        answer = served.ask("/api/search-by-sound", "POST", (served.sounds / "rain.wav").read_bytes())
        assert answer.status == 500 and answer.json["error"].startswith("the disk cannot be used")
        assert "No space left on device" in served.said[1]


def test_a_disk_that_fills_while_a_sound_is_decoded_is_not_called_a_strange_sound(tmp_path):
    soundfile.write(tmp_path / "a.flac", np.zeros(200_000), 16000)
    with pytest.raises(ResourceError, match="TMPDIR"):
        keep_beginning(tmp_path / "a.flac", Path("/dev/full"))
    words = [sys.executable, "-c", DECODE, str(tmp_path / "a.flac"), str(tmp_path / "out.wav")]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    result = subprocess.run(words, capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert "cannot be kept on the disk (the disk is full, or may not be written)" in result.stdout
