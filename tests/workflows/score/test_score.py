"""Scores of a split: the same bytes whatever happened on the way, and never of anything but what is asked for."""

import dataclasses
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from atrkit.datasets.manifest import Caption
from atrkit.errors import DivergedError, IntegrityError, MissingPrerequisiteError, ResourceError, UsageError
from atrkit.files import single_writer
from atrkit.models.ridge_retriever import RidgeRetriever
from atrkit.store.embeddings import load_embeddings
from atrkit.store.scores import load_scores, load_scores_about
from atrkit.workflows import score_inputs, score_rows


def test_scores_are_the_losses_of_single_pairs_negated(bench, losses_of_single_pairs):
    scores = bench.score()
    matrix, tested = scores.matrix, bench.clips_of("eval")
    assert matrix.clip_ids == tuple(clip.id for clip in tested)
    assert matrix.caption_ids == tuple(caption.id for clip in tested for caption in clip.captions)
    expected_AC = losses_of_single_pairs(matrix.clip_ids, bench.captions_of("eval"))
    np.testing.assert_allclose(-matrix.scores_AC, expected_AC, atol=1e-5)
    assert (scores.was_there, scores.pairs_made, scores.calibration) == (False, 7 * 14, None)
    np.testing.assert_array_equal(load_scores(scores.path).scores_AC, matrix.scores_AC)
    assert bench.progress[-1] == SimpleNamespace(what="scores of toy/eval", total=7, done=7)
    assert not bench.parts.folder.exists()


def test_the_size_of_parts_changes_no_bit(make_bench, monkeypatch):
    contents = []
    for clips in (1, 5, 64):
        monkeypatch.setitem(score_rows.MOST_CLIPS_PER_PART, "cpu", clips)
        other = make_bench()
        other.score(calibration_clips=6)
        contents.append(other.path.read_bytes())
    assert contents[0] == contents[1] == contents[2]


def test_the_file_says_what_made_it(bench):
    bench.score()
    about = load_scores_about(bench.path)
    made = {"run": "first/seed-1", "dataset": "toy", "split": "eval", "scoring": "cross_entropy"}
    assert made.items() <= about.items()
    assert about["provenance"]["embeddings"]["encoder"] == "logmel" and about["provenance"]["precision"] == "fp32"


def test_unknown_words_are_counted_and_said(bench):
    scores = bench.score()
    words = " ".join(bench.captions_of("eval")).split()
    count = words.count("bird") + words.count("sings")
    assert scores.unknown_words.total() == count > 0
    assert f"{count} of {len(words)} words in the captions are unknown to the captioner and read as <unk>: '" in (
        bench.heard
    )
    assert bench.score().unknown_words == scores.unknown_words, "also where the scores were there"


def test_another_split_is_kept_apart(bench):
    bench.score()
    before = bench.path.read_bytes()
    assert bench.score("dev").path == bench.folder / "evaluations" / "toy-dev" / "scores.h5"
    assert bench.path.read_bytes() == before


# --- used again, or made anew


def test_scores_that_fit_are_used_again(bench, monkeypatch):
    before = bench.score()
    content = bench.path.read_bytes()

    def fail(*arguments, **options):
        raise AssertionError("the model was opened")

    monkeypatch.setattr(score_rows, "open_cross_entropy", fail)
    again = bench.score()
    assert again.was_there and again.pairs_made == 0
    assert f"scores: {bench.path} (made before)" in bench.said
    np.testing.assert_array_equal(again.matrix.scores_AC, before.matrix.scores_AC)
    assert bench.path.read_bytes() == content


def train_again(bench):
    bench.make_captioner(seed=1).save_pretrained(bench.folder)


def change_a_caption(bench):
    *others, last = bench.make_clips()
    first, *further = last.captions
    bench.write([*others, dataclasses.replace(last, captions=(Caption(first.id, "a dog"), *further))])


def change_a_recording(bench):
    *others, last = bench.make_clips()
    bench.write([*others, dataclasses.replace(last, sha256="f" * 64)])


def remove_a_clip(bench):
    bench.write(bench.make_clips()[:-1])


def be_another_version(bench):
    bench.monkeypatch.setattr(score_inputs, "__version__", "0.0.1")


CHANGES = [
    (train_again, "model_sha256 is .* there and .* now"),
    (change_a_caption, "captions_sha256 is .* there and .* now"),
    (change_a_recording, "the audio of .*clips? changed.*"),
    (remove_a_clip, "captions is 14 there and 12 now"),
    (be_another_version, "atrkit_version is .* there and 0.0.1 now"),
]


@pytest.mark.parametrize(("change", "words"), CHANGES)
def test_scores_of_other_input_are_made_anew_and_what_differs_is_said(bench, make_bench, change, words):
    bench.score()
    for name in ("results.json", "results.dedup-text.json"):
        (bench.folder / name).write_text("of the old scores")
    change(bench)
    assert not bench.score().was_there
    assert re.search(f"{bench.path} was made with other input: {words}; making it anew", bench.heard)
    assert not list(bench.folder.glob("results*")), "results never lie beside scores that they are not of"
    fresh = make_bench()
    change(fresh)
    fresh.score()
    assert bench.path.read_bytes() == fresh.path.read_bytes()


def test_each_precision_has_its_own_file(bench):
    """Trying another one never costs the hours of the first."""
    bench.score()
    content = bench.path.read_bytes()
    other = bench.score(precision="bf16")
    assert other.path == bench.folder / "scores.bf16.h5" and not other.was_there
    assert load_scores_about(other.path)["provenance"]["precision"] == "bf16"
    assert bench.path.read_bytes() == content
    assert bench.score().was_there and bench.score(precision="bf16").was_there


@pytest.mark.parametrize(
    ("results", "stay"),
    [
        ('{"precision": "fp32"}', True),
        ('[{"precision": "fp32"}, {"precision": "bf16"}]', False),
        ('{"R@1": 1}', False),
        ("of which?", False),
    ],
)
def test_results_of_another_precision_stay(bench, results, stay):
    path = bench.folder / "results.json"
    path.write_text(results)
    bench.score(precision="bf16")
    assert path.exists() == stay


def test_parts_of_each_precision_lie_apart(bench, stop_after, saved_parts):
    with stop_after(1):
        bench.score()
    with stop_after(2):
        bench.score(precision="fp16")
    assert (bench.folder / "scores.fp16.parts").is_dir()
    saved_parts.clear()
    bench.score()
    bench.score(precision="fp16")
    assert saved_parts == [1, 2, 2]


@pytest.mark.parametrize("damage", [lambda content: content[:-1], lambda content: b"", lambda content: content + b"x"])
def test_a_damaged_score_file_is_made_anew_and_that_is_said(bench, damage):
    bench.score()
    content = bench.path.read_bytes()
    bench.path.write_bytes(damage(content))
    bench.score()
    assert f"{bench.path} is damaged, or of another version: making it anew" in bench.said
    assert bench.path.read_bytes() == content


def test_scores_of_a_version_that_did_not_say_what_made_them_are_made_anew(bench):
    from atrkit.store.scores import save_scores

    scores = bench.score()
    content = bench.path.read_bytes()
    save_scores(bench.path, scores.matrix, {"run": "first/seed-1"})
    bench.score()
    assert "it does not say what it was made from; making it anew" in bench.heard
    assert bench.path.read_bytes() == content


def test_a_damaged_model_is_refused_also_where_scores_are_there(bench):
    bench.score()
    weights = bench.folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(IntegrityError, match="train the model again"):
        bench.score()


def test_overwrite_makes_all_of_it_again(bench, saved_parts):
    bench.score(calibration_clips=3)
    content = bench.path.read_bytes()
    saved_parts.clear()
    assert not bench.score(calibration_clips=3, overwrite=True).was_there
    assert saved_parts == [0, 1, 2, 3]
    assert bench.path.read_bytes() == content


# --- interrupted


@pytest.mark.parametrize("finished", [0, 1, 2, 3])
def test_interrupted_after_any_part_the_same_call_comes_to_the_same_bytes(
    bench, make_bench, stop_after, saved_parts, finished
):
    options = {"calibration_clips": 4}  # 7 and 4 clips, three in a part
    straight = make_bench()
    straight.score(**options)
    saved_parts.clear()
    with stop_after(finished):
        bench.score(**options)
    assert f"stopped with {finished} of 4 parts finished; the same command makes the others" in bench.said
    assert not bench.path.exists()
    bench.score(**options)
    assert sorted(saved_parts) == [0, 1, 2, 3], "no finished part is made again"
    assert (bench.progress[-1].total, bench.progress[-1].done) == (11, 11)
    assert bench.path.read_bytes() == straight.path.read_bytes()
    assert not bench.parts.folder.exists()


@pytest.mark.parametrize(("change", "words"), CHANGES)
def test_parts_of_other_input_are_refused_with_the_way_out(bench, stop_after, change, words):
    with stop_after(1):
        bench.score()
    change(bench)
    with pytest.raises(IntegrityError) as refusal:
        bench.score()
    assert refusal.match(
        f"unfinished scores in {bench.parts.folder} were begun with other input: {words}; start afresh"
    )
    assert refusal.match("start afresh: atrkit score --run first/seed-1 --dataset toy --split eval --overwrite$")
    bench.score(overwrite=True)
    assert bench.path.is_file()


def test_with_overwrite_the_same_call_goes_on(bench, stop_after, saved_parts):
    bench.score()
    content = bench.path.read_bytes()
    saved_parts.clear()
    with stop_after(2):
        bench.score(overwrite=True)
    assert bench.path.read_bytes() == content, "until all of it is made"
    bench.score(overwrite=True)
    assert saved_parts == [0, 1, 2]
    assert bench.path.read_bytes() == content


def test_a_kill_between_joining_and_tidying_up_costs_nothing(bench, monkeypatch, saved_parts):
    from atrkit.store.score_parts import ScoreParts

    def killed(self):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ScoreParts, "clear", lambda self: killed(self) if self.is_under_way else None)
        bench.score()
    assert bench.path.exists() and bench.parts.folder.exists()
    saved_parts.clear()
    assert bench.score().was_there
    assert not saved_parts and not bench.parts.folder.exists()


def test_a_damaged_part_is_named_and_made_again(bench, stop_after, make_bench):
    with stop_after(2):
        bench.score()
    part = bench.parts.part_path(1, 3)
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(IntegrityError, match=r"part-00001-of-00003.h5 is damaged: delete it and run the same command"):
        bench.score()
    part.unlink()
    bench.score()
    straight = make_bench()
    straight.score()
    assert bench.path.read_bytes() == straight.path.read_bytes()


# --- what goes wrong


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_model_whose_losses_are_not_finite_is_refused_and_clips_are_named(bench, precision):
    model = bench.make_captioner()
    with torch.no_grad():
        model.decoder.classifier.bias[4] = np.nan
    model.save_pretrained(bench.folder)
    with pytest.raises(DivergedError, match=rf"losses that are NaN or infinite in {precision}: 'eval-\d.wav'") as error:
        bench.score(precision=precision)
    assert error.value.exit_code == 8
    assert not bench.path.exists() and not list(bench.parts.folder.glob("part-*"))


def test_a_second_writer_is_told_who_writes(bench):
    with single_writer(bench.path), pytest.raises(MissingPrerequisiteError, match="is being written by process"):
        bench.score()


def test_a_disk_that_is_too_small_is_said_before_the_start(bench, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=1000))
    with pytest.raises(ResourceError, match=r"scoring needs about 101 kB in .*, and 1 kB are free"):
        bench.score()
    assert not bench.parts.folder.exists()


# --- cosines


def test_cosines_are_made_in_one_go_and_anew_each_time(make_bench, saved_parts):
    ridge = make_bench("ridge")
    scores = ridge.score()
    assert scores.about["scoring"] == "cosine" and not saved_parts and not ridge.parts.folder.exists()
    assert (np.abs(scores.matrix.scores_AC) <= 1).all()
    content = ridge.path.read_bytes()
    assert not ridge.score().was_there
    assert ridge.path.read_bytes() == content and "made with other input" not in ridge.heard


def test_the_calibration_of_cosines_is_minus_the_cosines_of_training_clips(make_bench):
    ridge = make_bench("ridge")
    calibration = ridge.score(calibration_clips=4).calibration
    model = RidgeRetriever.from_pretrained(ridge.folder)
    embeddings = load_embeddings(ridge.root / "embeddings" / "toy" / "logmel.h5").select(calibration.clip_ids)
    audio_KD, text_CD = model.embed_clips(embeddings.clip_emb_AD, None), model.embed_captions(ridge.captions_of("eval"))
    lengths_KC = np.linalg.norm(audio_KD, axis=1)[:, None] * np.linalg.norm(text_CD, axis=1)
    np.testing.assert_allclose(calibration.loss_KC, -(audio_KD @ text_CD.T) / lengths_KC, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"precision": "fp16"}, "--precision fp16: only captioners compute in it, not a ridge"),
        ({"shard": (1, 2)}, "--shard and --merge are of captioners and co_attention; scores of a ridge have no parts"),
    ],
)
def test_what_is_for_captioners_is_refused_for_others(make_bench, options, words):
    with pytest.raises(UsageError, match=words):
        make_bench("ridge").score(**options)
