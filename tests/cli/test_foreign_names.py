"""Names in scores from elsewhere that are not those of the ground truth, and scores of a part of it."""

import csv
import json

import numpy as np
import pytest
from click.testing import CliRunner
from typer.main import get_command

from atrkit import ScoreMatrix
from atrkit.cli.app import app
from atrkit.exchange.queries import own_grades, query_scores
from atrkit.exchange.write_trec import write_trec_qrels, write_trec_run
from atrkit.store import save_scores

COMMAND = get_command(app)
CLIPS = ("Santa Motor.wav", "rain_2.wav", "a.b.wav", "dog.wav")
TEXTS = ("A motor runs.", "It rains.", "Something beeps.", "A dog barks.")


def run(*words, code=0):
    result = CliRunner().invoke(COMMAND, [str(word) for word in words])
    assert result.exit_code == code, (result.exit_code, result.stderr, result.exception)
    return result


def error(*words, code):
    return run(*words, code=code).stderr.splitlines()[-1].removeprefix("atrkit: ")


def table(path, *rows, delimiter=","):
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path


def percent_matrix(ids):
    """Scores in which the wrong clip of two would change R@1."""
    scores_AC = np.eye(len(ids)) + np.arange(len(ids)) / 10
    return ScoreMatrix(scores_AC, ids, [f"{clip}#1" for clip in ids], ids)


@pytest.mark.parametrize("ids", [("a b", "a%20b", "c"), ("a%20b", "50%25", "c"), ("a b", "50%", "c")])
@pytest.mark.parametrize("depth", [None, 2])
def test_what_was_exported_is_read_back_whatever_percent_signs_ids_have(ids, depth, tmp_path):
    matrix = percent_matrix(ids)
    write_trec_run(tmp_path / "run.txt", query_scores(matrix, "text-to-audio"), "ours", depth)
    write_trec_qrels(tmp_path / "qrels.txt", own_grades(matrix))
    rows = zip(matrix.caption_ids, matrix.clip_of_caption, strict=True)
    truth = table(tmp_path / "truth.csv", ("caption_id", "clip_id"), *rows)
    save_scores(tmp_path / "scores.h5", matrix)
    run_file, qrels = ("--scores", tmp_path / "run.txt"), ("--qrels", tmp_path / "qrels.txt")
    for words in (
        (*run_file, "--truth", truth),
        (*run_file, *qrels),
        (*run_file, *qrels, "--truth", truth),
        ("--scores", tmp_path / "scores.h5", *qrels),
    ):
        found = json.loads(run("eval", *words, "--json").stdout)["text_to_audio"]
        assert (found["queries"], found["R@1"]) == (3, 1.0), words


def test_percent_signs_of_others_are_taken_as_they_stand(tmp_path):
    matrix = percent_matrix(("a%20b", "50%25", "c"))
    rows = list(zip(matrix.caption_ids, matrix.clip_of_caption, strict=True))
    (tmp_path / "qrels.txt").write_text("".join(f"{caption} 0 {clip} 1\n" for caption, clip in rows))
    lines = [f"{caption} Q0 {clip} 1 {caption.startswith(clip)} x" for caption, _ in rows for _, clip in rows]
    (tmp_path / "run.txt").write_text("\n".join(lines).replace("True", "1").replace("False", "0"))
    save_scores(tmp_path / "scores.h5", matrix)
    truth = table(tmp_path / "truth.csv", ("caption_id", "clip_id"), *rows)
    qrels = ("--qrels", tmp_path / "qrels.txt")
    for words in (
        ("--scores", tmp_path / "scores.h5", *qrels),
        ("--scores", tmp_path / "run.txt", *qrels),
        ("--scores", tmp_path / "run.txt", *qrels, "--truth", truth),
    ):
        found = json.loads(run("eval", *words, "--json").stdout)["text_to_audio"]
        assert (found["queries"], found["R@1"]) == (3, 1.0), words
    words = ("compare", tmp_path / "scores.h5", tmp_path / "scores.h5", *qrels, "--json")
    assert json.loads(run(*words).stdout)["queries"] == {"text_to_audio": 3}


@pytest.fixture
def truth(tmp_path):
    return table(tmp_path / "truth.csv", ("file_name", "caption"), *zip(CLIPS, TEXTS, strict=True))


def submission(path, change=str):
    rows = [(text, change(clip), change(CLIPS[0])) for clip, text in zip(CLIPS[1:], TEXTS[1:], strict=True)]
    rows.append((TEXTS[0], change(CLIPS[0]), change(CLIPS[1])))
    return table(path, ("caption", "file_name_1", "file_name_2"), *rows)


def trec(path, change):
    lines = [f"{clip.replace(' ', '%20')}#1 Q0 {change(clip)} 1 0.5 x" for clip in CLIPS]
    path.write_text("\n".join(lines) + "\n")
    return path


CHANGES = {
    "the file suffix": lambda name: name.removesuffix(".wav"),
    "upper and lower case": str.upper,
    "blanks and '_'": lambda name: name.replace(" ", "_").replace("n_2", "n 2"),
    "blanks at their ends": lambda name: f" {name}",
    "suffix, case, blanks and '_'": lambda name: name.replace(" ", "_").lower().removesuffix(".wav"),
}


@pytest.mark.parametrize(("words", "change"), CHANGES.items())
def test_listed_names_that_are_not_in_the_truth_are_an_error_with_the_change_that_mends_them(
    words, change, truth, tmp_path
):
    path = submission(tmp_path / "sub.csv", change)
    said = error("eval", "--scores", path, "--truth", truth, code=5)
    changed = [change(clip) for clip in CLIPS if change(clip) != clip]
    assert f"{len(changed)} of 4 listed clips are not in {truth}" in said
    assert f"all of these differ in {words} alone: write them as they stand there" in said
    assert "closest there: '" in said


def test_a_run_of_other_names_is_refused_too(truth, tmp_path):
    path = trec(tmp_path / "x.run", lambda name: name.replace(" ", "_"))
    said = error("eval", "--scores", path, "--truth", truth, code=5)
    assert "1 of 4 listed clips" in said and "'Santa_Motor.wav' (closest there: 'Santa Motor.wav')" in said


def test_the_right_names_are_no_error_and_the_gallery_is_that_of_the_truth(truth, tmp_path):
    result = json.loads(
        run("eval", "--scores", submission(tmp_path / "s.csv"), "--truth", truth, "--json", "-k", 1).stdout
    )
    assert (result["text_to_audio"]["R@1"], result["text_to_audio"]["candidates"]) == (1.0, 4)


def test_one_wrong_name_has_no_change_that_mends_it_and_the_closest_is_said(truth, tmp_path):
    path = submission(tmp_path / "s.csv", lambda name: name.replace("dog", "dogg"))
    said = error("eval", "--scores", path, "--truth", truth, code=5)
    assert "1 of 4 listed clips" in said and "the first 'dogg.wav' (closest there: 'dog.wav'): leave them out" in said


def test_two_names_for_one_clip_are_mended_by_no_change(truth, tmp_path):
    rows = [(text, clip.upper(), clip.title()) for clip, text in zip(CLIPS, TEXTS, strict=True)]
    path = table(tmp_path / "s.csv", ("caption", "file_name_1", "file_name_2"), *rows)
    assert "alone" not in error("eval", "--scores", path, "--truth", truth, code=5)


def test_judged_names_that_are_spelled_otherwise_are_counted_in_a_warning(tmp_path):
    (tmp_path / "q.txt").write_text("x 0 dog.WAV 1\ny 0 cat.wav 1\n")
    (tmp_path / "x.run").write_text("x Q0 dog.wav 1 2 t\nx Q0 sea.wav 2 1 t\ny Q0 cat.wav 1 2 t\n")
    done = run("eval", "--scores", tmp_path / "x.run", "--qrels", tmp_path / "q.txt")
    assert "WARNING: 1 clips differ from judged ones" in done.stderr
    assert "the first 'dog.wav' (judged: 'dog.WAV')" in done.stderr
    (tmp_path / "q.txt").write_text("x 0 dog.wav 1\ny 0 cat.wav 1\n")
    assert "WARNING" not in run("eval", "--scores", tmp_path / "x.run", "--qrels", tmp_path / "q.txt").stderr


def test_a_name_that_is_found_by_its_file_name_is_no_warning(tmp_path):
    (tmp_path / "q.txt").write_text("x 0 dog.wav 1\n")
    arrays = {"clip_ids": ["sounds/dog.wav", "sounds/sea.WAV"], "caption_ids": ["x"]}
    np.savez(tmp_path / "s.npz", scores=np.ones((2, 1)), **arrays)
    words = ("eval", "--scores", tmp_path / "s.npz", "--qrels", tmp_path / "q.txt")
    assert "WARNING" not in run(*words).stderr
    (tmp_path / "q.txt").write_text("x 0 dog.wav 1\nx 0 sea.wav 1\n")
    assert "WARNING: 1 clips differ from judged ones" in run(*words).stderr


def test_an_id_that_the_truth_lacks_stands_beside_one_that_it_has(tmp_path):
    table(tmp_path / "t.csv", ("caption_id", "clip_id"), ("x1", "a"), ("x2", "b"))
    np.savez(tmp_path / "s.npz", scores=np.eye(2), clip_ids=["a", "b"], caption_ids=["y1", "y2"])
    said = error("eval", "--scores", tmp_path / "s.npz", "--truth", tmp_path / "t.csv", code=5)
    assert "2 of 2 captions are not in" in said and "'y1' (closest there: 'x1')" in said


@pytest.fixture
def part_and_whole(tmp_path):
    """Scores of 3 of 4 clips with their captions, of all, and the truth."""
    scores_AC = np.random.default_rng(0).normal(size=(4, 8))
    clips, captions = np.array(list("abcd")), np.array([f"{clip}{n}" for clip in "abcd" for n in "12"])
    table(tmp_path / "t.csv", ("caption_id", "clip_id"), *((caption, caption[0]) for caption in captions.tolist()))
    for name, rows, columns in (("whole", slice(4), slice(8)), ("part", slice(1, 4), slice(2, 8))):
        arrays = {"scores": scores_AC[rows, columns], "clip_ids": clips[rows], "caption_ids": captions[columns]}
        np.savez(tmp_path / f"{name}.npz", **arrays)
    np.savez(tmp_path / "rows.npz", scores=scores_AC[1:], clip_ids=clips[1:], caption_ids=captions)
    return tmp_path


def test_a_part_of_the_truth_is_ranked_when_asked_for(part_and_whole):
    folder = part_and_whole
    words = ("eval", "--truth", folder / "t.csv", "--json")
    assert "--partial" in error(*words, "--scores", folder / "part.npz", code=5)
    done = run(*words, "--scores", folder / "part.npz", "--partial")
    assert "3 of 4 clips and 6 of 8 captions" in done.stderr
    part, whole = json.loads(done.stdout), json.loads(run(*words, "--scores", folder / "whole.npz").stdout)
    assert (part["text_to_audio"]["queries"], part["text_to_audio"]["candidates"]) == (6, 3)
    assert part["pool_id"] != whole["pool_id"]
    rows = json.loads(run(*words, "--scores", folder / "rows.npz", "--partial").stdout)
    assert {**rows, "source": 0, "run": 0} == {**part, "source": 0, "run": 0}, "captions of other clips are left out"
    same = json.loads(run(*words, "--scores", folder / "whole.npz", "--partial").stdout)
    assert same == whole and not same["notes"]


def test_partial_needs_a_truth(part_and_whole):
    assert "--partial is of a truth" in error("eval", "--scores", part_and_whole / "part.npz", "--partial", code=2)
    assert "--partial is of --scores" in error("eval", "--run", "x", "--partial", code=2)


def test_an_intersection_may_have_less_than_the_truth(part_and_whole):
    folder = part_and_whole
    words = ("compare", folder / "whole.npz", folder / "part.npz", "--truth", folder / "t.csv")
    assert "2 captions of" in error(*words, code=5)
    done = run(*words, "--intersect", "--json")
    assert "3 of 4 clips and 6 of 8 captions" in done.stderr
    record = json.loads(done.stdout)
    figures = [system["text_to_audio"] for system in record["systems"]]
    assert figures[0] == figures[1] and json.dumps(record).count('"pool_id"')


def test_an_annotation_as_published_needs_no_dataset_in_any_command(truth, tmp_path):
    rows = [("It rains", "['dog.wav', 'rain_2.wav']"), ("A dog barks.", "['dog.wav']"), ("Unheard of.", "['dog.wav']")]
    qrels = table(tmp_path / "metadata_eval.csv", ("query", "audio_filenames"), *rows)
    ids = [f"{clip}#1" for clip in CLIPS]
    for name, scores_AC in (("one", np.eye(4)), ("two", np.eye(4)[::-1])):
        np.savez(tmp_path / f"{name}.npz", scores=scores_AC, clip_ids=CLIPS, caption_ids=ids)
    judged = ("--truth", truth, "--qrels", qrels, "--json")
    alone = json.loads(run("eval", "--scores", tmp_path / "one.npz", *judged).stdout)
    assert alone["relevance"]["name"] == "dcase2025" and alone["relevance"]["judgements"] == 3
    assert (alone["text_to_audio"]["R@1"], alone["text_to_audio"]["fractional_R@1"]) == (1.0, 0.75)
    both = json.loads(run("compare", tmp_path / "one.npz", tmp_path / "two.npz", *judged).stdout)
    assert [each["text_to_audio"]["R@1"]["mean"] for each in both["systems"]] == [1.0, 0.0], "reversed: none is right"
    run("export", "--scores", tmp_path / "one.npz", *judged, "--format", "qrels", "--out", tmp_path / "out")
    lines = (tmp_path / "out" / "text_to_audio.qrels.txt").read_text().splitlines()
    assert sorted(lines) == ["dog.wav#1 0 dog.wav 1", "rain_2.wav#1 0 dog.wav 1", "rain_2.wav#1 0 rain_2.wav 1"]
