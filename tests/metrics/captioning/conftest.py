"""A Java that is none: it answers as the PTB tokenizer, METEOR and SPICE do, with scores made of common words."""

import sys
from pathlib import Path

import pytest

FAKE_JAVA = """
import json, pathlib, sys

def common(candidate, references):
    words = set(candidate.split())
    return max(len(words & set(text.split())) / max(len(words | set(text.split())), 1) for text in references)

here = pathlib.Path(__file__)
arguments = sys.argv[1:]
tool = next((name for name in ("-version", "PTBTokenizer", "meteor", "spice") if any(name in a for a in arguments)), "")
with here.with_suffix(".log").open("a") as log:
    log.write(tool + "\\n")
if here.with_suffix(f".{tool}.fails").exists():
    sys.stderr.write("loading\\nException in thread \\"main\\" java.lang.Boom: no such luck\\n\\tat Main\\n")
    sys.exit(1)
if tool == "-version":
    sys.stderr.write('openjdk version "17.0.15" 2025-04-15\\n')
elif tool == "PTBTokenizer":
    sys.stdout.write(pathlib.Path(arguments[-1]).read_text().lower().replace("'s", " 's").replace(".", " ."))
elif tool == "meteor":
    for line in sys.stdin:
        command, *parts = line.rstrip("\\n").split(" ||| ")
        if command == "SCORE":
            print(common(parts[-1], parts[:-1]), flush=True)
        else:
            print(*parts, max(map(float, parts)), sep="\\n", flush=True)
elif tool == "spice":
    clips = json.loads(pathlib.Path(arguments[arguments.index("-cache") - 1]).read_text())
    numbers = [common(clip["test"], clip["refs"]) / 2 for clip in clips]
    if here.with_suffix(".spice.nan").exists():
        numbers[-1] = "NaN"
    scores = [{"scores": {"All": {"f": number}}} for number in numbers]
    pathlib.Path(arguments[arguments.index("-out") + 1]).write_text(json.dumps(scores))
"""


class FakeJava:
    """The program, what was asked of it, and which of its tools fail."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "java"
        self.path.write_text(f"#!{sys.executable} -SE\n{FAKE_JAVA}")
        self.path.chmod(0o755)

    def fails_as(self, tool: str) -> None:
        self.path.with_suffix(f".{tool}.fails").touch()

    def has_no_number_from_spice(self) -> None:
        self.path.with_suffix(".spice.nan").touch()

    @property
    def started_as(self) -> list[str]:
        return self.path.with_suffix(".log").read_text().splitlines()


@pytest.fixture
def fake_java(tmp_path, monkeypatch) -> FakeJava:
    java = FakeJava(tmp_path)
    monkeypatch.setenv("AAC_METRICS_JAVA_PATH", str(java.path))
    return java
