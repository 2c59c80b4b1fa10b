"""Every command of the README's section on Clotho and AudioCaps, run in its order."""

import re
import shlex
from pathlib import Path

import numpy as np
import soundfile

from atrkit.datasets.audiocaps import pools

README = (Path(__file__).resolve().parents[3] / "README.md").read_text()
SECTION = re.search(r"^## Clotho and AudioCaps\n.*?(?=^## )", README, flags=re.DOTALL | re.MULTILINE)[0]


def test_every_command_of_the_section_works_as_written(atrkit, zenodo, audiocaps, tools, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_audiocaps").mkdir()
    soundfile.write(tmp_path / "my_audiocaps" / "YtestBBBBBBB.wav", np.full(3200, 0.1), 32_000)
    monkeypatch.setitem(pools.POOLS, "957", pools.Pool("957", 1, "Mei", "https://example.org/list.csv", "list.csv"))
    zenodo.server.publish("/list.csv", b"file_name\nYtestBBBBBBB.wav\n")
    lines = [line for block in re.findall(r"```sh\n(.*?)```", SECTION, flags=re.DOTALL) for line in block.splitlines()]
    assert len(lines) == 6 and all(line.startswith("atrkit ") for line in lines)
    for line in lines:
        atrkit(*shlex.split(line)[1:])
