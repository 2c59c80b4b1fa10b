"""The table of caption metrics: 80 columns, no colour needed, and nothing missing without its way out."""

import io

from rich.console import Console

from atrkit.reports.caption_metrics_table import caption_metrics_table
from atrkit.reports.metric_files import metric_files_view

NO_SPICE = {"what": "/home/someone/.cache/atrkit/aac-metrics/spice lacks the jars of SPICE", "fix": "pip install jars"}
NO_JAVA = {"what": "Java is not installed", "fix": "apt install java"}


def missing(need: str, *steps: str, fetch_mb: int = 0) -> dict:
    """As `evaluate_captions` says it, with a long place that is for machines."""
    what, fix = f"/home/someone/.cache/atrkit/{need} lacks files", f"{', then '.join(steps)}, or put x from https://y/z"
    return {"what": what, "fix": fix, "need": need, "steps": list(steps), "fetch_mb": fetch_mb}


PIP, PREPARE = "pip install --no-deps pycocoevalcap", "atrkit download metrics"
OF_PTB = missing("ptb", PIP, PREPARE)
OF_METEOR = missing("meteor", PIP, PREPARE)
OF_SPICE = [missing("spice", PIP, PREPARE), missing("corenlp", PREPARE, fetch_mb=400)]
OF_FLUENCY = missing("fluency", PREPARE, fetch_mb=440)
MISSING_JAVA = {**NO_JAVA, "need": "java", "steps": ["apt install java"], "fetch_mb": 0}
FAILED = {
    "what": "it failed: no memory",
    "fix": "the same command tries again",
    "need": None,
    "steps": [],
    "fetch_mb": 0,
}
RESULT = {
    "run": "synthetic_captioner/seed-1",
    "dataset": "synthetic",
    "split": "eval",
    "clips": 1045,
    "references": 5225,
    "tokenizer": "ptb",
    "tokenizer_reason": None,
    "empty_candidates": 0,
    "figures": {"bleu_1": 0.5544, "cider_d": 0.4309, "fer": 0.0019, "vocabulary_size": 1234.0, "mean_words": 9.26},
    "not_computed": [
        {"metric": "meteor", "reasons": [NO_JAVA]},
        {"metric": "spice", "reasons": [NO_JAVA, NO_SPICE]},
        {"metric": "spider", "reasons": [NO_JAVA, NO_SPICE]},
    ],
    "baseline": None,
    "versions": {"aac_metrics": "0.5.4", "java": None},
}


def shown(renderable, width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(renderable)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_metrics_in_per_cent_and_descriptions_as_they_are():
    lines = shown(caption_metrics_table([RESULT]))
    assert lines[:2] == [
        "synthetic_captioner/seed-1 on synthetic/eval",
        "1,045 clips, 5,225 references; tokenizer: ptb; metrics in %",
    ]
    rows = [line.split("  ") for line in lines]
    cells = {row[0]: row[-1].strip() for row in rows if len(row) > 1}
    assert cells["BLEU-1"] == "55.4"
    assert cells["CIDEr-D"] == "43.1"
    assert cells["fluency errors (lower is better)"] == "0.2"
    assert cells["words used"] == "1,234"
    assert cells["words/caption"] == "9.3"
    assert max(map(len, lines)) <= 80


def what_is_missing(**reasons) -> list[str]:
    tokenizer = reasons.pop("tokenizer", None)
    entries = [{"metric": name, "reasons": said} for name, said in reasons.items()]
    result = RESULT | {"not_computed": entries, "tokenizer_reason": tokenizer}
    lines = shown(caption_metrics_table([result]))
    last_row = next(number for number, line in enumerate(lines) if line.startswith("words/caption"))
    return lines[last_row + 2 :]


def test_what_is_missing_is_said_once_with_the_commands_that_bring_all_of_it():
    of_detector = {"fer": [OF_FLUENCY], "spider_fl": [*OF_SPICE, OF_FLUENCY]}
    assert what_is_missing(meteor=[OF_METEOR], spice=OF_SPICE, spider=OF_SPICE, **of_detector) == [
        "not computed: METEOR, SPICE, SPIDEr, fluency errors, SPIDEr-FL",
        "  run: pip install --no-deps pycocoevalcap; atrkit download metrics (needs a",
        "  network, about 840 MB)",
        "  atrkit doctor says what each one lacks",
    ]
    assert what_is_missing(meteor=[OF_METEOR])[1:-1] == [f"  run: {PIP}; {PREPARE}"]
    detector = missing("fluency", PREPARE, fetch_mb=1440)
    assert what_is_missing(fer=[detector])[1:-1] == [f"  run: {PREPARE} (needs a network, about 1.4 GB)"]


def test_java_and_what_failed_are_said_beside_what_is_missing():
    assert what_is_missing(meteor=[MISSING_JAVA, OF_METEOR], spice=[MISSING_JAVA], fer=[FAILED]) == [
        "not computed: METEOR, SPICE, fluency errors",
        f"  run: {PIP}; {PREPARE}",
        "  Java is not installed: apt install java",
        "  atrkit doctor says what each one lacks",
        "fluency errors: it failed: no memory",
        "  fix: the same command tries again",
    ]


def test_what_the_tokenizer_lacks_is_among_what_is_missing():
    note = "tokenizer: captions are split at spaces; published figures are made with the PTB"
    assert what_is_missing(tokenizer=OF_PTB, meteor=[OF_METEOR]) == [
        note,
        "tokenizer",
        "",
        "not computed: METEOR",
        f"  run: {PIP}; {PREPARE}",
        "  atrkit doctor says what each one lacks",
    ]
    assert what_is_missing(tokenizer=OF_PTB)[:4] == [
        note,
        "tokenizer",
        f"  run: {PIP}; {PREPARE}",
        "  atrkit doctor says what each one lacks",
    ]


def test_results_of_earlier_releases_have_a_line_for_each_thing_and_its_fix():
    lines = shown(caption_metrics_table([RESULT]))
    assert lines[lines.index("not computed: METEOR, SPICE, SPIDEr") :] == [
        "not computed: METEOR, SPICE, SPIDEr",
        "METEOR, SPICE, SPIDEr: Java is not installed",
        "  fix: apt install java",
        "SPICE, SPIDEr: /home/someone/.cache/atrkit/aac-metrics/spice lacks the jars of",
        "SPICE",
        "  fix: pip install jars",
    ]


def test_the_baseline_has_a_column_and_a_dash_where_it_has_no_figure():
    baseline = {"caption": "a dog barks", "count": 1, "figures": {"bleu_1": 0.25, "vocabulary_size": 3.0}}
    lines = shown(caption_metrics_table([RESULT | {"baseline": baseline}]))
    header = next(line for line in lines if line.startswith("metric"))
    assert header.split() == ["metric", "captioner", "baseline"]
    assert next(line for line in lines if line.startswith("BLEU-1")).split() == ["BLEU-1", "55.4", "25.0"]
    assert next(line for line in lines if line.startswith("CIDEr-D")).split() == ["CIDEr-D", "43.1", "-"]
    note = 'baseline: "a dog barks" for every clip, the most frequent training caption (1 time)'
    assert " ".join(lines).count(note) == 1


def test_another_tokenizer_is_said_with_its_reason():
    spaces = RESULT | {"tokenizer": "whitespace", "tokenizer_reason": NO_JAVA}
    lines = shown(caption_metrics_table([spaces]))
    assert "tokenizer: whitespace" in lines[1]
    assert "tokenizer: captions are split at spaces; published figures are made with the PTB" in lines
    place = lines.index("METEOR, SPICE, SPIDEr, tokenizer: Java is not installed")
    assert lines[place + 1] == "  fix: apt install java"


def test_several_results_stand_below_each_other():
    complete = RESULT | {"run": "other", "not_computed": []}
    lines = shown(caption_metrics_table([RESULT, complete]))
    assert [line for line in lines if " on synthetic/eval" in line] == [
        "synthetic_captioner/seed-1 on synthetic/eval",
        "other on synthetic/eval",
    ]
    assert "\n".join(lines).count("not computed:") == 1


def test_what_was_brought_is_counted_and_what_runs_is_listed():
    record = {
        "cache": "/c",
        "files": [{"path": "a", "state": "copied", "sha256": ""}] * 2 + [{"path": "b", "state": "there", "sha256": ""}],
        "metrics": [
            {"name": "bleu_1", "runs": True, "lacks": []},
            {"name": "spice", "runs": False, "lacks": [NO_JAVA]},
            {"name": "spider", "runs": False, "lacks": [NO_JAVA]},
        ],
    }
    assert shown(metric_files_view(record)) == [
        "3 files in /c: 2 copied, 1 were there",
        "run on this machine: bleu_1",
        "spice, spider: Java is not installed",
        "  fix: apt install java",
    ]
