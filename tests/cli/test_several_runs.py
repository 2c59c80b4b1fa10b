"""Several runs as a user types them: seeds and their mean, tables of runs, fusions."""

import json
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from atrkit.cli.app import app
from atrkit.metrics.ranking import evaluate as figures_of
from atrkit.score_matrix import ScoreMatrix
from atrkit.store import load_scores
from atrkit.store.scores import load_scores_about
from atrkit.workflows.captioned import CaptionedClips
from atrkit.workflows.several_runs import summarise_seeds

QUICK = [
    word
    for setting in ("training.epochs=1", "training.keep_best=last", "model.audio={hidden_dims: [8]}", "model.out_dim=8",
                    "model.text.dim=8", "model.text.pooling={name: mean}", "model.gating=false")
    for word in ("--set", setting)
]  # fmt: skip
RIDGE = "source: ours\nencoder: {name: logmel}\nmodel: {name: ridge}\n"
FIGURES = ("R@1", "R@5", "R@10", "mAP@10", "MedR", "MnR")
DIRECTIONS = ("text_to_audio", "audio_to_text")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """Seeds 1 and 2 of `dual`, and a ridge `plain`."""
    root = tmp_path_factory.mktemp("workspace")
    run(root, "download", "synthetic", "--clips", 30, "--workers", 1)
    (root / "plain.yaml").write_text(RIDGE)
    run(root, "train", "synthetic/retrieval", *QUICK, "--seeds", "1,2", "--name", "dual")
    run(root, "train", root / "plain.yaml")
    return root


def run(workspace, *words, code=0):
    result = CliRunner().invoke(app, [*map(str, words), "--workspace", str(workspace)])
    assert result.exit_code == code, (result.exit_code, result.stderr, result.exception)
    return result


def train(workspace, *words, name="dual", code=0):
    return run(workspace, "train", "synthetic/retrieval", *QUICK, "--name", name, *words, code=code)


def as_json(result):
    return json.loads(result.stdout)


def test_seeds_are_trained_evaluated_and_averaged(workspace):
    record = as_json(train(workspace, "--seeds", "1,2", "--json"))
    assert record.keys() == {"runs", "results", "summary"}
    assert [each["run"] for each in record["results"]] == ["dual/seed-1", "dual/seed-2"]
    kept = [json.loads((workspace / "runs/dual" / seed / "results.json").read_text()) for seed in ("seed-1", "seed-2")]
    assert kept == record["results"]
    summary = record["summary"]
    assert (summary["n"], summary["seeds"], summary["runs"]) == (2, [1, 2], ["dual/seed-1", "dual/seed-2"])
    assert summary["deviation"] == "sample (n - 1)" and summary["pool_id"] == kept[0]["pool_id"]
    for direction in DIRECTIONS:
        for figure in FIGURES:
            values = [result[direction][figure] for result in kept]
            assert summary[direction][figure]["mean"] == pytest.approx(np.mean(values))
            assert summary[direction][figure]["deviation"] == pytest.approx(np.std(values, ddof=1))
    assert kept[0]["text_to_audio"] != kept[1]["text_to_audio"]


def test_the_mean_over_seeds_is_what_is_compared_with_the_paper():
    about = {"run": "r", "pool_id": "p", "scoring": "cosine", "dataset": "d", "split": "s", "column_scaling": "none"}
    target = {"paper": "000", "values": {"text_to_audio": {"R@1": 30.0, "MedR": 7}}}
    seeds = [
        {
            **about,
            "target": target,
            "text_to_audio": {"R@1": recall, "R@5": 0.5, "R@10": 0.6, "mAP@10": 0.3, "MedR": rank, "MnR": 9.0},
            "audio_to_text": None,
        }
        for recall, rank in ((0.2, 8.0), (0.26, 11.0))
    ]
    found = summarise_seeds(seeds, [1, 2])["target_difference"]["text_to_audio"]
    assert (found["R@1"]["difference"], found["MedR"]["difference"]) == (pytest.approx(-0.07), pytest.approx(2.5))


def test_seeds_that_are_finished_are_not_trained_again_and_an_interrupted_one_goes_on(workspace, monkeypatch):
    from atrkit.workflows import train_seeds

    asked = []

    def killed(session, options):
        asked.append(options.run)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(train_seeds, "evaluate_run", killed)
        train(workspace, "--seeds", "1,7", code=130)
    assert len(asked) == 1
    weights = {seed: workspace / f"runs/dual/seed-{seed}/model.safetensors" for seed in (1, 7)}
    before = {seed: path.stat().st_mtime_ns for seed, path in weights.items()}
    again = as_json(train(workspace, "--seeds", "1,7", "--json"))
    assert [each["was_there"] for each in again["runs"]] == [True, True] and again["summary"]["seeds"] == [1, 7]
    assert {seed: path.stat().st_mtime_ns for seed, path in weights.items()} == before


def test_a_seed_trained_by_itself_is_the_same_seed(workspace):
    train(workspace, "--seed", 1, name="alone")
    weights = [(workspace / "runs" / name / "seed-1/model.safetensors").read_bytes() for name in ("dual", "alone")]
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seeds", "1,2", "--seed", "1"], "--seed trains one seed, --seeds several"),
        (["--seeds", "1,one"], "--seeds '1,one': write whole numbers from 0 with commas"),
        (["--seeds", "3,3"], "the same seed twice"),
        (["--seeds", ""], "write whole numbers"),
        (["--seeds", "1,99999999999999999999"], "write whole numbers"),
    ],
)
def test_seeds_that_make_no_sense_are_refused(workspace, words, message):
    assert message in train(workspace, *words, code=2).stderr


def test_seeds_without_a_test_split_are_refused_before_they_are_trained(workspace, monkeypatch):
    monkeypatch.setattr("atrkit.workflows.splits.TEST_SPLIT_NAMES", ())
    message = train(workspace, "--seeds", "1,2", "--set", "data.test=", name="untested", code=2).stderr
    assert "--set data.test=SPLIT" in message and not (workspace / "runs/untested").exists()


def test_seeds_whose_first_stage_is_missing_are_refused_before_they_are_trained(workspace):
    rerank = ["--set", "retrieval.rerank={run: nobody, k: 5}"]
    message = train(workspace, "--seeds", "1", *rerank, name="listed", code=3).stderr
    assert "no run 'nobody' that could shortlist: train it first" in message
    assert not (workspace / "runs/listed").exists()
    first = "before atrkit eval: no run 'nobody' that could shortlist: train it first"
    assert first in " ".join(train(workspace, "--seed", "1", *rerank, name="listed").stderr.split())
    shutil.rmtree(workspace / "runs/listed")


def test_a_first_stage_without_the_tested_clips_is_refused_before_seeds_are_trained(workspace, monkeypatch):
    from atrkit.workflows import first_stage

    own = first_stage.clips_as_trained

    def one_clip_less(*arguments, **options):
        clips = own(*arguments, **options)
        kept = clips.clips[1:]
        return CaptionedClips(kept, clips.embeddings.select([clip.id for clip in kept]))

    monkeypatch.setattr(first_stage, "clips_as_trained", one_clip_less)
    rerank = ["--set", "retrieval.rerank={run: plain, k: 5}"]
    assert "run plain/seed-1 has 11 clips" in train(workspace, "--seeds", "1", *rerank, name="listed", code=5).stderr
    assert not (workspace / "runs/listed").exists()


def test_the_table_of_runs_says_that_figures_are_re_ranked(workspace):
    words = ["eval", "--runs", "runs/dual/seed-[12]", "--rerank", "plain", "--rerank-k", 3]
    table = " ".join(run(workspace, *words, "--plain").stdout.split())
    assert table.count("re-ranked: the 3 best of plain/seed-1") == table.count("shortlist recall") == 1
    assert "seed-2: re-ranked" not in table  # both are
    (summary,) = as_json(run(workspace, *words, "--json"))["summaries"]
    assert summary["rerank"] == {"run": "plain/seed-1", "k": 3}


@pytest.fixture
def damaged(workspace):
    """A copy of both seeds, the second of which has lost bytes."""
    shutil.copytree(workspace / "runs/dual", workspace / "runs/worn")
    path = workspace / "runs/worn/seed-2/model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    yield
    shutil.rmtree(workspace / "runs/worn")


def test_a_damaged_seed_is_trained_again_by_itself(workspace, damaged):
    message = train(workspace, "--seeds", "1,2", name="worn", code=5).stderr
    assert message.rstrip().endswith("(of this seed alone: --seed 2 --overwrite)")
    assert "of this seed alone" not in train(workspace, "--seed", "2", name="worn", code=5).stderr


def test_a_damaged_run_does_not_cost_the_others_their_table(workspace, damaged):
    failed = run(workspace, "eval", "--runs", "runs/worn/seed-[12]", "--plain", code=7)
    assert "worn/seed-1" in failed.stdout and "worn/seed-2 is left out: " in failed.stdout
    record = as_json(run(workspace, "eval", "--runs", "runs/worn/seed-[12]", "--json", code=7))
    assert [each["run"] for each in record["results"]] == ["worn/seed-1"] and record["left_out"].keys() == {
        "worn/seed-2"
    }
    run(workspace, "eval", "--runs", "worn/seed-2", code=5)


def test_runs_can_be_named_with_commas(workspace):
    record = as_json(run(workspace, "eval", "--runs", "dual/seed-1, plain", "--json"))
    assert [each["run"] for each in record["results"]] == ["dual/seed-1", "plain/seed-1"]


def test_a_mistyped_name_lists_the_nearest(workspace, damaged):
    message = run(workspace, "eval", "--run", "worn/seed-3", code=2).stderr
    listed = message.partition("finished runs: ")[2]
    assert listed.startswith("worn/seed-") and listed.count(",") == 4 and " more" in listed


def test_a_fusion_says_that_it_leaves_a_recipes_shortlist_out(workspace):
    train(workspace, "--seed", 1, "--set", "retrieval.rerank={run: plain, k: 3}", name="relisted")
    fused = run(workspace, "fuse", "relisted/seed-1", "plain", "--name", "unlisted", "--json")
    assert as_json(fused)["without_rerank"] == ["relisted/seed-1"]
    assert "relisted/seed-1 re-ranks a shortlist by its recipe: every pair is scored and fused" in fused.stderr
    others = run(workspace, "fuse", "dual/seed-1", "plain", "--name", "unlisted", code=5).stderr
    assert "is another fusion: of relisted/seed-1 and plain/seed-1, not of dual/seed-1 and plain/seed-1; keep" in others


def test_a_list_of_all_pairs_is_called_that(workspace):
    words = ["eval", "--run", "dual/seed-1", "--rerank", "dual/seed-1", "--rerank-k", 1000]
    said = run(workspace, *words).stderr
    assert "run dual/seed-1 shortlists for itself: that changes nothing" in said
    assert "12 clips and 60 captions: with the 1,000 best of each, all pairs are on the list" in said


def test_word_vectors_are_a_shortcut_of_set(workspace, tmp_path):
    captions = [c["text"] for line in manifest(workspace) for c in line["captions"]]
    words = sorted({word for text in captions for word in text.lower().strip(".").split()})
    vectors = tmp_path / "my vectors.txt"
    vectors.write_text("".join(f"{word} {k % 7} {k % 5}.5 -1\n" for k, word in enumerate(words)))
    train = ["train", "synthetic/retrieval", *QUICK]
    run(workspace, *train, "--word-vectors", vectors, "--name", "vectors")
    run(workspace, *train, "--set", f'model.text.vectors="{vectors}"', "--name", "vectors_set")
    recipes = [(workspace / "runs" / name / "seed-1/recipe.yaml").read_text() for name in ("vectors", "vectors_set")]
    assert recipes[0] == recipes[1] and "my vectors.txt" in recipes[0]


def manifest(workspace):
    return [json.loads(line) for line in (workspace / "data/synthetic/manifest.jsonl").read_text().splitlines()]


def test_word_vectors_are_refused_where_there_are_no_words(workspace, tmp_path):
    (tmp_path / "vectors.txt").write_text("dog 1 2\n")
    option = ["--word-vectors", tmp_path / "vectors.txt"]
    for recipe, named in ((workspace / "plain.yaml", "'ridge'"), ("synthetic/captioner", "'transformer_captioner'")):
        message = run(workspace, "train", recipe, *option, code=2).stderr
        assert f"model {named}" in message and "has no text side of its own" in message
    tuned = ["--set", "model.text.name=transformers", "--set", "model.text.model=bert"]
    message = run(workspace, "train", "synthetic/retrieval", *tuned, *option, code=2).stderr
    assert "has the text side 'transformers', and word vectors are of 'word_embeddings'" in message


def test_runs_stand_in_one_table_and_only_seeds_are_averaged(workspace):
    record = as_json(run(workspace, "eval", "--runs", "runs/dual/seed-[12]", "--runs", "plain", "--json"))
    assert record.keys() == {"results", "summaries", "remarks"}
    assert [each["run"] for each in record["results"]] == ["dual/seed-1", "dual/seed-2", "plain/seed-1"]
    (summary,) = record["summaries"]
    assert summary["runs"] == ["dual/seed-1", "dual/seed-2"] and record["remarks"] == []
    table = run(workspace, "eval", "--runs", "runs/dual/seed-[12]", "--runs", "plain", "--plain").stdout
    assert table.count("mean, n = 2") == 2 and table.count("plain/seed-1") == 2 and "3 runs on synthetic/eval" in table


def test_runs_of_one_name_with_other_settings_are_not_averaged_and_it_is_said(workspace):
    train(workspace, "--seed", 1, name="mixed")
    train(workspace, "--seed", 2, "--set", "retrieval.column_scaling=minmax", name="mixed")
    record = as_json(run(workspace, "eval", "--runs", "mixed", "--json"))
    assert record["summaries"] == [] and len(record["results"]) == 2
    assert record["remarks"] == [
        "mixed/seed-2 is not averaged with mixed/seed-1: recipe.retrieval.column_scaling is none there and minmax now"
    ]
    table = run(workspace, "eval", "--runs", "mixed", "--plain").stdout
    assert "mean" not in table and "is not averaged with" in table


def test_runs_that_are_not_finished_are_left_out_and_said(workspace):
    begun = workspace / "runs/begun/seed-1"
    begun.mkdir(parents=True)
    (begun / "inputs.json").write_text("{}")
    assert "begun/seed-1 is not finished: left out" in run(workspace, "eval", "--runs", "*").stderr
    assert "--runs begun: no finished run there" in run(workspace, "eval", "--runs", "begun", code=2).stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--runs", "nobody*"], "--runs nobody*: no finished run there; finished runs: "),
        (["--runs", "dual", "--run", "dual"], "--run is one run, --runs are several"),
        (["--runs", "dual", "--metric", "perturbation"], "--runs is of --metric recall alone"),
        (["--runs", "dual", "--ties"], "--ties is of one run's table"),
    ],
)
def test_tables_of_several_runs_that_cannot_be_made(workspace, words, message):
    assert message in run(workspace, "eval", *words, code=2).stderr


def test_without_a_run_it_says_how_to_make_one(tmp_path):
    assert "make one: atrkit train recipe.yaml" in run(tmp_path, "eval", "--runs", "*", code=3).stderr


def standardised(matrix):
    scores_AC = matrix.scores_AC.astype(np.float64)
    deviation_C = scores_AC.std(axis=0)
    return (scores_AC - scores_AC.mean(axis=0)) / np.where(deviation_C == 0, 1, deviation_C)


def test_a_fusion_is_the_weighted_sum_of_standardised_scores(workspace):
    result = as_json(run(workspace, "fuse", "dual/seed-1", "plain", "--weights", "7,3", "--json"))
    assert (result["runs"], result["weights"]) == (["dual/seed-1", "plain/seed-1"], [0.7, 0.3])
    assert (result["weights_from"], result["fitted"], result["target"]) == ("given", None, None)
    own = [load_scores(workspace / "runs" / name / "scores.h5") for name in result["runs"]]
    expected_AC = 0.7 * standardised(own[0]) + 0.3 * standardised(own[1])
    path = workspace / result["run"] / "synthetic-eval/scores.h5"
    fused = load_scores(path)
    assert np.allclose(fused.scores_AC, expected_AC, atol=1e-5)
    by_hand = figures_of(ScoreMatrix(fused.scores_AC, own[0].clip_ids, own[0].caption_ids, own[0].clip_of_caption))
    for direction in DIRECTIONS:
        assert {name: result[direction][name] for name in FIGURES} == {
            name: by_hand[direction][name] for name in FIGURES
        }
    assert json.loads(path.with_name("results.json").read_text()) == result
    runs = load_scores_about(path)["provenance"]["runs"]
    assert [(each["run"], each["weight"]) for each in runs] == [("dual/seed-1", 0.7), ("plain/seed-1", 0.3)]
    assert all(len(each["model_sha256"]) == 64 for each in runs)


def test_weights_are_chosen_on_validation_clips_and_the_figure_is_said(workspace):
    words = ["fuse", "dual/seed-1", "plain", "--weights", "fit-on-val"]
    result = as_json(run(workspace, *words, "--json"))
    fitted = result["fitted"]
    assert (result["weights_from"], fitted["split"], fitted["tried"]) == ("fit-on-val", "val", 21)
    val = [load_scores(workspace / "runs" / name / "evaluations/synthetic-val/scores.h5") for name in result["runs"]]
    assert fitted["pool_id"] == val[0].pool_id != result["pool_id"]
    best = max(map_at_10(val, weight) for weight in np.arange(21) / 20)
    assert fitted["value"] == pytest.approx(best, abs=1e-9)
    assert map_at_10(val, result["weights"][0]) == pytest.approx(best, abs=1e-9)
    table = " ".join(run(workspace, *words, "--plain").stdout.split())
    assert "chosen among 21 mixtures on synthetic/val by mean mAP@10 of both directions:" in table


def map_at_10(matrices, weight):
    first = matrices[0]
    fused_AC = weight * standardised(first) + (1 - weight) * standardised(matrices[1])
    figures = figures_of(ScoreMatrix(fused_AC, first.clip_ids, first.caption_ids, first.clip_of_caption))
    return np.mean([figures[direction]["mAP@10"] for direction in DIRECTIONS])


def test_a_fusion_is_no_run(workspace):
    run(workspace, "fuse", "dual/seed-1", "plain", "--name", "both")
    assert "no finished run there" in run(workspace, "eval", "--run", "fused/both", code=2).stderr
    assert as_json(run(workspace, "info", "--store", workspace / "fused/both/synthetic-eval/scores.h5", "--json"))


def test_another_fusion_of_the_same_name_is_not_replaced_unasked(workspace):
    words = ["fuse", "dual/seed-1", "plain", "--name", "kept"]
    run(workspace, *words)
    path = workspace / "fused/kept/synthetic-eval/scores.h5"
    content = path.read_bytes()
    run(workspace, *words)
    message = run(workspace, *words, "--weights", "1,3", code=5).stderr
    assert "runs.1.weight is 0.5 there and 0.25 now" in message and "--overwrite" in message
    assert path.read_bytes() == content
    run(workspace, *words, "--weights", "1,3", "--overwrite")
    assert path.read_bytes() != content


def test_weights_are_never_chosen_on_what_is_tested_or_was_learned(workspace):
    fit = ["fuse", "dual/seed-1", "plain", "--weights", "fit-on-val"]
    assert "synthetic/eval, the split that is tested" in run(workspace, *fit, "--val", "eval", code=2).stderr
    assert "synthetic/val, the split that is tested" in run(workspace, *fit, "--split", "val", code=2).stderr
    assert "were trained on by one of the runs" in run(workspace, *fit, "--val", "dev", code=2).stderr
    run(workspace, "train", workspace / "plain.yaml", "--set", "data.test=val", "--name", "val_tested")
    others = ["fuse", "dual/seed-1", "val_tested"]
    message = run(workspace, *others, code=2).stderr
    assert "no test split in common (dual/seed-1 has eval, val_tested/seed-1 val): say which with --split" in message
    message = run(workspace, *others, "--split", "eval", "--weights", "fit-on-val", code=2).stderr
    assert "synthetic/val, the test split of val_tested/seed-1" in message


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["dual/seed-1"], "a fusion is of two runs or more"),
        (["dual/seed-1", "dual/seed-1"], "dual/seed-1 is named twice"),
        (["dual/seed-1", "plain", "--weights", "1,2,3"], "--weights has 3 numbers, and there are 2 runs"),
        (["dual/seed-1", "plain", "--weights", "1,-2"], "write numbers from 0"),
        (["dual/seed-1", "plain", "--weights", "0,0"], "write numbers from 0"),
        (["dual/seed-1", "plain", "--weights", "nan,1"], "write numbers from 0"),
        (["dual/seed-1", "plain", "--weights", "fit"], "or fit-on-val"),
        (["dual/seed-1", "plain", "--val", "val"], "--val is read with --weights fit-on-val alone"),
        (["dual/seed-1", "plain", "--name", "../x"], "a fusion's name has letters"),
        (["dual/seed-1", "nobody"], "no finished run there"),
        (["dual/seed-1", "plain", "--split", "nowhere"], "has no split 'nowhere'"),
    ],
)
def test_fusions_that_cannot_be_made(workspace, words, message):
    assert message in run(workspace, "fuse", *words, code=2).stderr


def test_scores_of_other_captions_are_not_fused_and_the_first_is_named(workspace, monkeypatch):
    from atrkit.workflows import fuse_scores

    original = fuse_scores.clips_as_trained

    def without_last(session, trained, dataset, split, **options):
        clips = original(session, trained, dataset, split, **options)
        if trained.name != "plain/seed-1":
            return clips
        kept = clips.clips[:-1]
        return type(clips)(kept, clips.embeddings.select([clip.id for clip in kept]))

    monkeypatch.setattr(fuse_scores, "clips_as_trained", without_last)
    last = [line["id"] for line in manifest(workspace) if line["split"] == "eval"][-1]
    message = run(workspace, "fuse", "dual/seed-1", "plain", "--name", "pools", code=2).stderr
    assert f"clip {last!r} was scored by dual/seed-1 and not by plain/seed-1" in message
    assert not (workspace / "fused/pools").exists()
    shared = as_json(run(workspace, "fuse", "dual/seed-1", "plain", "--name", "pools", "--intersect", "--json"))
    all_clips = load_scores(workspace / "runs/dual/seed-1/scores.h5").clip_ids
    fused = load_scores(workspace / "fused/pools/synthetic-eval/scores.h5")
    assert set(all_clips) - set(fused.clip_ids) == {last} == set(all_clips) - set(fused.clip_of_caption)
    assert shared["pool_id"] == fused.pool_id and shared["audio_to_text"]["queries"] == len(all_clips) - 1
