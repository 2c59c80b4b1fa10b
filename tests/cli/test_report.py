"""`atrkit report` as a user types it: real runs of the embedded data set, small."""

import base64
import html
import json
import re
import shutil
from hashlib import sha256
from pathlib import Path
from platform import python_version

import numpy as np
import pytest
from typer.testing import CliRunner

from atrkit import __version__
from atrkit.cli.app import app
from atrkit.store import load_scores

RIDGE = "source: Ours & <b>nobody's</b>\nencoder: {name: logmel}\nmodel: {name: ridge}\n"


def run(workspace, *words, code=0):
    result = CliRunner().invoke(app, [*map(str, words), "--workspace", str(workspace)])
    assert result.exit_code == code, (result.exit_code, result.stderr, result.exception)
    return result


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """Two ridges: `plain`, and with another penalty `dual`, seeds 1 and 2."""
    root = tmp_path_factory.mktemp("workspace")
    run(root, "download", "synthetic", "--clips", 30, "--workers", 1)
    (root / "plain.yaml").write_text(RIDGE)
    run(root, "train", root / "plain.yaml")
    run(root, "train", root / "plain.yaml", "--seeds", "1,2", "--name", "dual", "--set", "model.ridge_lambda=100")
    return root


@pytest.fixture(scope="module")
def plain(workspace):
    """What --json prints of the report of `plain`, and its page."""
    record = json.loads(run(workspace, "report", "plain", "--json").stdout)
    return record, (workspace / "runs/plain/seed-1/report.html").read_text()


def text_of(page):
    without = re.sub(r"<(style|script)>.*?</\1>|<wbr>", "", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", without)).split())


def test_json_says_where_the_page_is_and_what_is_in_it(workspace, plain):
    record, page = plain
    path = workspace / "runs/plain/seed-1/report.html"
    assert record["path"] == str(path) and record["size_bytes"] == path.stat().st_size
    assert record["runs"] == ["plain/seed-1"] and record["left_out"] == {} and record["without_player"] == 0
    held = [base64.b64decode(data) for data in re.findall(r'src="data:audio/[a-z]+;base64,([^"]+)"', page)]
    assert len(held) == len(set(held)) == record["clips"] > 10
    assert sum(map(len, held)) == record["audio_bytes"]


def test_the_page_shows_what_eval_prints(workspace, plain):
    (workspace / "runs/plain/seed-1/results.json").rename(workspace / "kept.json")
    result = json.loads(run(workspace, "eval", "--run", "plain", "--ci", "--json").stdout)
    assert result == json.loads((workspace / "kept.json").read_text())
    text = text_of(plain[1])
    for direction, name in (("text_to_audio", "Text to audio"), ("audio_to_text", "Audio to text")):
        low, high = result[direction]["ci"]["R@1"]
        shown = f"{name} {100 * result[direction]['R@1']:.1f} {100 * low:.1f} – {100 * high:.1f}"
        assert shown in text
    assert result["pool_id"] in text


def test_the_page_says_what_was_run(workspace, plain):
    text = text_of(plain[1])
    environment = json.loads((workspace / "runs/plain/seed-1/environment.json").read_text())
    ended = (workspace / "runs/plain/seed-1/log.txt").read_text().splitlines()[-1][:16]
    for shown in (
        "Ours & <b>nobody's</b>", "ridge", f"torch {environment['packages']['torch']}", f"Trained until {ended} UTC",
        "Seed 1", "Not computed for this run; make it: atrkit eval --metric perturbation --run plain/seed-1",
    ):  # fmt: skip
        assert shown in text


def test_the_same_run_gives_the_same_bytes(workspace, plain):
    run(workspace, "report", "plain")
    assert (workspace / "runs/plain/seed-1/report.html").read_text() == plain[1]


def test_every_query_has_its_right_clip_with_a_player(plain):
    queries = re.findall(r'<article class="query">.*?</article>', plain[1], flags=re.DOTALL)
    asked, heard = (  # by caption, by clip
        [query for query in queries if ("right clip at rank" in query) is is_text] for is_text in (True, False)
    )
    assert len(asked) == len(heard) == 9
    for query in asked:
        (right,) = re.findall(r'<li class="right">.*?</li>', query, flags=re.DOTALL)
        assert right.count("<audio") == 1 and query.count("<audio") in (5, 6)
    for query in heard:
        assert query.count("<audio") == 1 and '<li class="right">' in query


def test_changed_captions_are_shown_once_they_were_evaluated(workspace):
    run(workspace, "eval", "--metric", "perturbation", "--run", "dual/seed-2")
    run(workspace, "report", "dual/seed-2", "--no-audio", "--out", workspace / "page.html")
    (section,) = re.findall(
        r"Changed captions</h2>.*?</section>", (workspace / "page.html").read_text(), flags=re.DOTALL
    )
    result = json.loads((workspace / "runs/dual/seed-2/perturbation_results.json").read_text())
    for test in result["perturbation"]["tests"]:
        if test["n"]:
            assert f"{test['kind']} {test['set_name']} {100 * test['accuracy']:.1f}" in text_of(section)


def test_without_audio_and_without_examples(workspace):
    record = json.loads(
        run(workspace, "report", "plain", "--no-audio", "--out", workspace / "small.html", "--json").stdout
    )
    small = (workspace / "small.html").read_text()
    assert (record["clips"], record["audio_bytes"]) == (0, 0) and "<audio" not in small and "No player" not in small
    assert 'class="query"' in small
    run(workspace, "report", "plain", "--examples", 0, "--out", workspace / "none.html")
    assert 'class="query"' not in (workspace / "none.html").read_text()


def test_a_clip_whose_file_is_gone_is_shown_as_such(workspace, plain, tmp_path):
    shutil.copytree(workspace, tmp_path / "w", ignore=shutil.ignore_patterns("report.html"))
    clip = re.search(r'class="clip"><bdi>([^ ]*?)</bdi>', plain[1])[1].replace("<wbr>", "")
    manifest = (tmp_path / "w/data/synthetic/manifest.jsonl").read_text().splitlines()
    (path,) = (json.loads(line)["path"] for line in manifest if json.loads(line)["id"] == clip)
    (tmp_path / "w/data/synthetic" / path).unlink()
    result = run(tmp_path / "w", "report", "plain", "--json", "--examples", 1)
    assert json.loads(result.stdout)["without_player"] == 1
    assert f"1 of {json.loads(result.stdout)['clips'] + 1} clips have no player, the first {clip}" in result.stderr
    assert "No player: its file is gone: " in text_of((tmp_path / "w/runs/plain/seed-1/report.html").read_text())


def test_only_reports_are_replaced(workspace):
    thesis = workspace / "thesis.html"
    thesis.write_text("<!doctype html><p>of mine")
    refused = run(workspace, "report", "plain", "--out", thesis, code=2)
    assert refused.stderr.endswith("no page of atrkit report: move it, or name another with --out\n")
    assert thesis.read_text() == "<!doctype html><p>of mine"
    assert "is a folder" in run(workspace, "report", "plain", "--out", workspace, code=2).stderr


def test_a_folder_is_made_only_where_its_own_folder_is(workspace, tmp_path):
    refused = run(workspace, "report", "plain", "--out", tmp_path / "no/such/page.html", code=2)
    why = f"there is no folder {tmp_path}/no/such; make it, or name another file"
    assert refused.stderr == f"atrkit: --out {tmp_path}/no/such/page.html: {why}\n"
    assert not (tmp_path / "no").exists()
    at_root = run(workspace, "report", "plain", "--out", "/atrkit-nowhere/page.html", code=2)
    assert "there is no folder /atrkit-nowhere" in at_root.stderr and not Path("/atrkit-nowhere").exists()
    run(workspace, "report", "plain", "--out", tmp_path / "pages/page.html", "--no-audio", "--examples", 0)
    assert (tmp_path / "pages/page.html").is_file()


def test_a_run_that_is_not_there_is_named(workspace):
    refused = run(workspace, "report", "plane", code=2)
    assert refused.stderr.startswith("atrkit: report plane: no finished run there; finished runs: ")


def test_several_runs_are_compared_and_seeds_stand_together(workspace):
    record = json.loads(run(workspace, "report", "dual", "plain", "--json", "--examples", 1).stdout)
    assert record["path"] == str(workspace / "reports/dual+plain.html")
    assert record["runs"] == ["dual/seed-1", "dual/seed-2", "plain/seed-1"]
    page = (workspace / "reports/dual+plain.html").read_text()
    compared = json.loads(run(workspace, "compare", "dual", "plain", "--json").stdout)
    text = text_of(page)
    found = compared["comparisons"][0]["text_to_audio"]["R@1"]
    assert "plain/seed-1 minus dual, in points" in text
    assert f"R@1 {100 * found['difference']:+.1f} [{100 * found['ci'][0]:+.1f}" in text
    mean = compared["systems"][0]["text_to_audio"]["R@1"]
    assert f"dual, 2 seeds {100 * mean['mean']:.1f} ± {100 * mean['deviation']:.1f}" in text
    assert [re.sub("<wbr>", "", name) for name in re.findall(r"<h2[^>]*>(.*?)</h2>", page)] == [
        "Comparison",
        "dual",
        "plain/seed-1",
    ]
    ids = re.findall(r'\sid="([^"]*)"', page)
    assert len(ids) == len(set(ids))


def test_different_pools_are_not_compared(workspace, tmp_path):
    val = ("--set", "data.test=val", "--set", "data.val=eval")
    run(workspace, "train", workspace / "plain.yaml", "--name", "elsewhere", *val)
    run(workspace, "report", "plain", "elsewhere", "--no-audio", "--out", tmp_path / "page.html")
    text = text_of((tmp_path / "page.html").read_text())
    assert "different pools, whose figures do not compare" in text and " minus " not in text


def test_a_damaged_run_is_left_out_and_said(workspace, tmp_path):
    shutil.copytree(workspace, tmp_path / "w")
    (tmp_path / "w/runs/dual/seed-2/inputs.json").write_text("{")
    result = run(tmp_path / "w", "report", "dual", "--no-audio", "--json", code=7)
    record = json.loads(result.stdout)
    assert record["runs"] == ["dual/seed-1"] and "inputs.json" in record["left_out"]["dual/seed-2"]


def test_scores_made_elsewhere_have_a_page_too(workspace, plain, tmp_path):
    """With players where the dataset has the audio; without, from what a file and its table of captions say."""
    scores = load_scores(workspace / "runs/plain/seed-1/scores.h5")
    table = "".join(
        f"{clip},{caption},{float(score)!r}\n"
        for clip, row in zip(scores.clip_ids, scores.scores_AC, strict=True)
        for caption, score in zip(scores.caption_ids, row, strict=True)
    )
    (tmp_path / "theirs.csv").write_text("clip,caption,score\n" + table)
    on_dataset = ("--dataset", "synthetic", "--split", "eval")
    record = json.loads(run(workspace, "report", "--scores", tmp_path / "theirs.csv", *on_dataset, "--json").stdout)
    assert record["path"] == str(tmp_path / "theirs.csv.report.html") and record["clips"] > 10
    pages = (tmp_path / "theirs.csv.report.html", workspace / "runs/plain/seed-1/report.html")
    theirs, ours = (re.search(r"MnR (Text to audio \d.*?) chance", text_of(page.read_text()))[1] for page in pages)
    assert theirs == ours and theirs.count(" – ") == 6
    lines = (workspace / "data/synthetic/manifest.jsonl").read_text().splitlines()
    clips = [clip for clip in map(json.loads, lines) if clip["split"] == "eval"]
    rows = [f'{clip["id"]},{caption["id"]},"{caption["text"]}"\n' for clip in clips for caption in clip["captions"]]
    (tmp_path / "truth.csv").write_text("file_name,caption_id,caption\n" + "".join(rows))
    with_truth = ("--scores", tmp_path / "theirs.csv", "--truth", tmp_path / "truth.csv")
    run(workspace, "report", *with_truth, "--out", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    text = text_of(page)
    assert "<audio" not in page and clips[0]["captions"][0]["text"] in text
    for known in (
        f"Whose caption is whose {tmp_path / 'truth.csv'}",
        f"sha256 of that table {sha256((tmp_path / 'truth.csv').read_bytes()).hexdigest()}",
        f"sha256 of the scores {sha256((tmp_path / 'theirs.csv').read_bytes()).hexdigest()}",
        f"Versions atrkit {__version__}, Python {python_version()}, numpy {np.__version__}",
    ):
        assert known in text, known
    facts = re.search("Scores made elsewhere.*?Training", text)[0]
    assert "Format table of pairs Evaluated on" in facts, "here the scores have no other name than their format"
    of_dataset = text_of((tmp_path / "theirs.csv.report.html").read_text())
    assert "Whose caption is whose as in the dataset synthetic, split eval" in of_dataset
    assert "leave one out" in run(workspace, "report", "plain", *with_truth, code=2).stderr
    assert "--truth is of --scores" in run(workspace, "report", "--truth", tmp_path / "truth.csv", code=2).stderr
