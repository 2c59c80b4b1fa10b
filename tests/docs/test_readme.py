"""Every command of the README, run in the order in which a reader meets it.

Two things are made smaller so that this takes seconds: the embedded data set has 60 training clips, and models are
trained for one epoch. `my_sounds` is rendered here; the real weights of mn04 are read from ../shared.
"""

import csv
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from atrkit import errors
from atrkit.cli.app import app
from atrkit.datasets.synthetic import SyntheticSizes, generate

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
# needs a server and programs that stand for Zenodo and YouTube: tests/cli/download/test_readme.py runs it
DOWNLOADS = re.search(r"^## Clotho and AudioCaps\n.*?(?=^## )", README, flags=re.DOTALL | re.MULTILINE)[0]
WEIGHTS = ROOT.parent / "shared" / "weights" / "mn04_as_mAP_432.pt"
SMALLER = {
    "download synthetic": ["--clips", "60", "--workers", "1"],
    "train synthetic/retrieval --seeds": ["--set", "training.epochs=1", "--name", "seeds/retrieval"],
    "train synthetic/retrieval": ["--set", "training.epochs=1"],
    "train synthetic/hci": ["--set", "training.epochs=1"],
    "train synthetic/auxiliary_captions": ["--set", "training.epochs=1"],
    "train synthetic/co_attention": ["--set", "training.epochs=1"],
    "train synthetic/captioner": ["--set", "training.epochs=1"],
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands(program: str) -> list[list[str]]:
    lines = [line for block in blocks("sh") if block not in DOWNLOADS for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith(program + " ")]


def make_my_sounds(folder: Path) -> None:
    """Ten sounds with captions in Clotho's layout, the audio beside the table."""
    dataset = generate(folder, SyntheticSizes(dev=12, val=12, eval=12), 5, 1)
    with (folder / "captions.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file_name", *(f"caption_{k}" for k in range(1, 6))])
        for clip in dataset.clips[:10]:
            table.writerow([clip.path.removeprefix("audio/"), *(caption.text for caption in clip.captions)])


def serve_until_it_says_where(workspace: Path, words: list[str]) -> None:
    """Start the page on a free port in a process of its own, wait for its address, and end it as Ctrl-C does."""
    command = [sys.executable, "-m", "atrkit", *words, "--port", "0"]
    pipe, both = subprocess.PIPE, subprocess.STDOUT
    with subprocess.Popen(command, cwd=workspace, stdout=pipe, stderr=both, text=True) as server:
        assert any("http://127.0.0.1:" in line for line in server.stdout)
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=30)
    assert server.returncode == errors.EXIT_INTERRUPTED


@pytest.mark.skipif(not WEIGHTS.is_file(), reason="the weights of mn04 are not in ../shared")
def test_every_command_works_in_the_order_of_the_page(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ATRKIT_WORKSPACE", raising=False)
    make_my_sounds(tmp_path / "my_sounds")
    (tmp_path / "mn04_as_mAP_432.pt").symlink_to(WEIGHTS)
    for words in commands("atrkit"):
        if words[0] == "serve":  # until someone stops it
            serve_until_it_says_where(tmp_path, words)
            continue
        extra = next((more for start, more in SMALLER.items() if " ".join(words).startswith(start)), [])
        result = CliRunner().invoke(app, words + extra)
        assert result.exit_code == 0, (words, result.stderr, result.exception)
    _, captioner_example = blocks("python")  # opens the run that was trained above
    exec(captioner_example, {})
    assert capsys.readouterr().out.endswith("(12, 12) 12\n")


def test_every_make_target_exists():
    for words in commands("make"):
        subprocess.run(["make", "-n", *words], cwd=ROOT, check=True, capture_output=True)


def test_the_python_example_prints_what_it_should(capsys):
    exec(blocks("python")[0], {})
    assert capsys.readouterr().out == "1.0\n"


def test_the_exit_codes_are_those_of_the_program():
    listed = {int(code) for row in re.findall(r"^\| ([\d, ]+) \|", README, flags=re.M) for code in row.split(",")}
    kinds = {kind.exit_code for kind in errors.AtrkitError.__subclasses__()}
    kinds |= {errors.EXIT_DONE_WITH_PROBLEMS, errors.EXIT_INTERRUPTED, errors.EXIT_TERMINATED, 0, 1}
    assert kinds <= listed


@pytest.mark.parametrize("page", ["README.md", "atrkit/README.md"])
def test_every_link_and_named_place_exists(page):
    text = (ROOT / page).read_text()
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert (ROOT / page).parent.joinpath(link).exists(), link
    if page == "atrkit/README.md":
        for place in re.findall(r"`((?:\w+/)+\w+\.py|\w+\.py)`", text):
            assert (ROOT / "atrkit" / place).exists() or list((ROOT / "atrkit").rglob(place)), place
