"""Re-ranking: what another run shortlists is scored, stands above all else, and everything about it is said."""

import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from atrkit.cli.app import app
from atrkit.errors import DivergedError, IntegrityError, MissingPrerequisiteError, UsageError
from atrkit.models import AudioTower, CoAttentionRetriever, DualEncoder, Ragged, WordTower, seeded_initialisation
from atrkit.models.retriever import ClipInputs
from atrkit.models.token_towers import WordTokens
from atrkit.recipe.load import load_recipe
from atrkit.scoring.retrieval import score_all_pairs
from atrkit.store.embeddings import load_embeddings
from atrkit.store.facts import inspect_store
from atrkit.store.scores import load_scores, load_scores_about
from atrkit.text.vocabulary import Vocabulary
from atrkit.workflows import first_stage, score_rows
from atrkit.workflows.captioned import CaptionedClips
from atrkit.workflows.evaluate import EvaluateOptions, evaluate_run
from atrkit.workflows.extract_options import parse_shard
from atrkit.workflows.first_stage import RerankChoice
from atrkit.workflows.run_folder import RunFolder
from atrkit.workflows.score_command import ScoreOptions
from atrkit.workflows.score_command import score as score_command

FRAME_DIM = 5
TRAINED = "loss: {name: nt_xent}\noptimizer: {name: adamw, lr: 1e-3}\ntraining: {epochs: 1, batch_size: 4}\n"
MODELS = {
    "co_attention": "{name: co_attention, dim: 8, num_heads: 2, d_ff: 12, text: {name: word_embeddings}}",
    "dual_encoder": "{name: dual_encoder, text: {name: word_embeddings}}",
}


def make_model(name, bench, seed=1):
    words = Vocabulary.from_captions(bench.captions_of("eval")).words
    with seeded_initialisation(seed):
        if name == "dual_encoder":
            return DualEncoder(AudioTower(FRAME_DIM, 8, pooling="mean"), WordTower(words, 8, pooling="mean"))
        return CoAttentionRetriever(FRAME_DIM, WordTokens(words, dim=6), dim=8, num_heads=2, ff_dim=12)


def add_run(bench, run, model, *, retrieval="{}", seed=1):
    """A finished run beside that of the bench, on the same embeddings."""
    folder = bench.root / "runs" / run / "seed-1"
    recipe = bench.root / f"{run}.yaml"
    recipe.write_text(
        f"source: ours\nencoder: {{name: logmel}}\nmodel: {MODELS[model]}\n{TRAINED}retrieval: {retrieval}\n"
    )
    first = RunFolder(bench.folder)
    RunFolder(folder).start(load_recipe(recipe), first.inputs())
    made = make_model(model, bench, seed)
    made.save_pretrained(folder)
    RunFolder(folder).finish(first.finished_record())
    return made


@pytest.fixture
def stages(make_bench):
    """A ridge called first, and a co-attention model called second, whose weights were drawn."""
    bench = make_bench("ridge")
    bench.second = add_run(bench, "second", "co_attention")
    return bench


def all_scores(bench, model):
    """The second stage's scores of every pair, without a first stage."""
    embeddings = load_embeddings(bench.root / "embeddings" / "toy" / "logmel.h5")
    chosen = embeddings.select([clip.id for clip in bench.clips_of("eval")])
    frames = Ragged.from_rows(chosen.frames_NF, chosen.offsets)
    return score_all_pairs(model, ClipInputs((frames,)), bench.captions_of("eval"))


def score(bench, run="second", **options):
    bench.said.clear()
    return score_command(bench.session, ScoreOptions(run, **options))


def shortlist_by_sorting(scores_AC, k):
    clips, captions = scores_AC.shape
    listed = np.zeros(scores_AC.shape, dtype=bool)
    for c in range(captions):
        listed[:, c] |= scores_AC[:, c] >= sorted(scores_AC[:, c])[-k:][0]
    for a in range(clips):
        listed[a] |= scores_AC[a] >= sorted(scores_AC[a])[-k:][0]
    return listed


def order_of(keys):
    """Positions from best to worst, by keys that are compared one after the other."""
    return sorted(range(len(keys)), key=lambda place: keys[place], reverse=True)


@pytest.mark.parametrize("k", [1, 3])
def test_each_query_sees_its_shortlist_first_and_the_first_stages_order_after_it(stages, k):
    first_AC = stages.score().matrix.scores_AC
    second_AC = all_scores(stages, stages.second)
    listed_AC = shortlist_by_sorting(first_AC, k)
    scores = score(stages, rerank=RerankChoice("first", k))
    merged_AC = scores.matrix.scores_AC
    assert 0 < listed_AC.sum() < listed_AC.size
    np.testing.assert_allclose(merged_AC[listed_AC], second_AC[listed_AC], atol=1e-5)
    keys = [[(bool(listed), float(second if listed else first)) for listed, second, first in zip(*row, strict=True)]
            for row in zip(listed_AC, second_AC, first_AC, strict=True)]  # fmt: skip
    for a, row in enumerate(keys):
        assert order_of(list(merged_AC[a])) == order_of(row)
    for c, column in enumerate(zip(*keys, strict=True)):
        assert order_of(list(merged_AC[:, c])) == order_of(list(column))
    assert scores.pairs_made == listed_AC.sum()


def test_a_shortlist_of_everything_is_scoring_every_pair(stages):
    every = score(stages)
    assert every.path.name == "scores.h5" and every.pairs_made == 7 * 14
    listed = score(stages, rerank=RerankChoice("first", 14))
    np.testing.assert_allclose(listed.matrix.scores_AC, every.matrix.scores_AC, atol=1e-5)
    assert listed.about["rerank"]["share_of_pairs"] == listed.about["rerank"]["text_to_audio_recall"] == 1.0
    np.testing.assert_array_equal(load_scores(every.path).scores_AC, every.matrix.scores_AC)


def test_what_the_shortlist_held_is_told(stages):
    listed_AC = shortlist_by_sorting(stages.score().matrix.scores_AC, 2)
    (result,) = evaluate_run(stages.session, EvaluateOptions("second", rerank=RerankChoice("first", 2)))
    told = result["rerank"]
    assert (told["run"], told["k"], told["pairs"]) == ("first/seed-1", 2, listed_AC.sum())
    assert told["mean_clips"] == listed_AC.sum(axis=0).mean() and told["mean_captions"] == listed_AC.sum(axis=1).mean()
    own = [[listed_AC[a, 2 * a], listed_AC[a, 2 * a + 1]] for a in range(7)]  # two captions of each clip, in order
    assert told["text_to_audio_recall"] == np.mean(own) and told["audio_to_text_recall"] == np.any(own, axis=1).mean()
    for direction, recall in (("text_to_audio", "text_to_audio_recall"), ("audio_to_text", "audio_to_text_recall")):
        assert result[direction]["R@1"] <= told[recall]
    assert result["scoring"] == "co_attention" and told["seconds"] >= 0


@pytest.mark.parametrize("model", MODELS)
def test_words_that_a_retrieval_model_does_not_know_are_counted_and_said(stages, model):
    of_few = Vocabulary.from_captions(["a dog barks while rain falls"]).words
    text = {"dim": 6} if model == "co_attention" else {"out_dim": 8, "pooling": "mean"}
    made = (WordTokens if model == "co_attention" else WordTower)(of_few, **text)
    folder = stages.root / "runs" / "few" / "seed-1"
    add_run(stages, "few", model)
    for path in (*folder.glob("*.safetensors"), *folder.glob("config.json")):
        path.unlink()
    retriever = (
        CoAttentionRetriever(FRAME_DIM, made, dim=8, num_heads=2, ff_dim=12)
        if model == "co_attention"
        else DualEncoder(AudioTower(FRAME_DIM, 8, pooling="mean"), made)
    )
    retriever.save_pretrained(folder)
    words = " ".join(stages.captions_of("eval")).split()
    unknown = [word for word in words if word not in of_few]
    scores = score(stages, "few")
    assert scores.unknown_words.total() == len(unknown) > 0
    line = f"{len(unknown)} of {len(words)} words in the toy/eval captions are unknown to the text side and read as"
    assert any(said.startswith(line) for said in stages.said)
    assert score(stages, "few").unknown_words == scores.unknown_words, "also where the scores were there"
    score(stages)
    assert not any("unknown" in said for said in stages.said), "all words are known to this one"


def test_the_command_prints_it(stages):
    words = ["eval", "--run", "second", "--rerank", "first", "--rerank-k", "2", "--workspace", str(stages.root)]
    printed = CliRunner().invoke(app, [*words, "--plain"])
    assert printed.exit_code == 0, printed.stderr
    assert "re-ranked: the 2 best of first/seed-1" in printed.stdout and "shortlist recall" in printed.stdout
    as_json = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert as_json["rerank"]["k"] == 2
    words[0] = "score"
    scored = CliRunner().invoke(app, [*words, "--plain"])
    assert scored.exit_code == 0 and "were there and are up to date" in scored.stdout, scored.stderr
    assert "shortlist recall" in " ".join(scored.stdout.split())


def test_scores_that_are_there_are_taken_until_something_changes(stages):
    choice = RerankChoice("first", 2)
    made = score(stages, rerank=choice)
    assert not made.was_there and stages.progress[-1].done == made.pairs_made
    again = score(stages, rerank=choice)
    assert again.was_there and "made before" in stages.heard and again.about == made.about
    assert not score(stages, rerank=RerankChoice("first", 3)).was_there
    assert "first_stage.k is 2 there and 3 now" in stages.heard
    add_run(stages, "other", "dual_encoder")
    assert not score(stages, rerank=RerankChoice("other", 3)).was_there
    assert "first_stage.model_sha256" in stages.heard
    assert not score(stages, rerank=RerankChoice("other", 3), overwrite=True).was_there


def test_every_pair_of_a_slow_model_is_scored_once(stages):
    assert not score(stages).was_there
    assert stages.progress[-1].what == "scores of toy/eval" and stages.progress[-1].done == 7
    assert score(stages).was_there
    assert not stages.score().was_there and not stages.score().was_there, "a ridge takes no time"


def test_an_interrupted_scoring_of_every_pair_goes_on_to_the_same_bytes(stages, make_bench, stop_after, monkeypatch):
    monkeypatch.setitem(score_rows.CO_ATTENTION_PAIRS_PER_PART, "cpu", 2 * len(stages.captions_of("eval")))
    score(stages)
    whole = (stages.root / "runs/second/seed-1/scores.h5").read_bytes()
    again = make_bench("ridge")
    add_run(again, "second", "co_attention")
    with stop_after(2):
        score(again)
    assert "stopped with 2 of 4 parts finished" in again.heard
    score(again)
    assert "2 of 4 parts are there from an earlier call" in again.heard
    assert (again.root / "runs/second/seed-1/scores.h5").read_bytes() == whole


def test_shards_of_every_pair_join_to_the_same_scores(stages):
    first, second = (score(stages, shard=parse_shard(f"{i}/2")) for i in (1, 2))
    assert first is not None and second is not None
    merged = score(stages, merge=True)
    np.testing.assert_allclose(merged.matrix.scores_AC, all_scores(stages, stages.second), atol=1e-6)


def test_the_first_stages_folder_stays_as_it_is(stages):
    stages.score()
    before = {path.name: path.read_bytes() for path in stages.folder.iterdir()}
    score(stages, rerank=RerankChoice("first", 2))
    assert {path.name: path.read_bytes() for path in stages.folder.iterdir()} == before
    (stages.folder / "scores.h5").unlink()
    score(stages, rerank=RerankChoice("first", 2), overwrite=True)
    assert not (stages.folder / "scores.h5").exists()


def test_results_of_other_scores_stay(stages):
    evaluate_run(stages.session, EvaluateOptions("second"))
    results = stages.root / "runs" / "second" / "seed-1" / "results.json"
    assert "rerank" not in json.loads(results.read_bytes())
    made = score(stages, rerank=RerankChoice("first", 2))
    assert results.exists() and made.path.name == "scores.reranked.h5"
    assert load_scores_about(made.path)["rerank"]["k"] == 2
    evaluate_run(stages.session, EvaluateOptions("second", rerank=RerankChoice("first", 2)))
    assert json.loads(results.read_bytes())["rerank"]["k"] == 2


def test_the_recipe_can_say_it_and_the_command_say_otherwise(stages):
    add_run(stages, "both", "co_attention", retrieval="{rerank: {run: first, k: 2}}")
    assert score(stages, "both").about["rerank"]["k"] == 2
    assert score(stages, "both", rerank=RerankChoice(k=3)).about["rerank"]["k"] == 3
    every = score(stages, "both", rerank=RerankChoice("none"))
    assert "rerank" not in every.about and every.pairs_made == 7 * 14
    with pytest.raises(UsageError, match="run both/seed-1 is re-ranked itself: name its first stage, first"):
        score(stages, rerank=RerankChoice("both"))


def test_a_captioner_scores_the_shortlist(make_bench, losses_of_single_pairs):
    bench = make_bench("captioner")
    model = add_run(bench, "fast", "dual_encoder")
    listed_AC = shortlist_by_sorting(all_scores(bench, model), 2)
    made = score(bench, "first", rerank=RerankChoice("fast", 2))
    ids = [clip.id for clip in bench.clips_of("eval")]
    expected_AC = -losses_of_single_pairs(ids, bench.captions_of("eval"))
    np.testing.assert_allclose(made.matrix.scores_AC[listed_AC], expected_AC[listed_AC], atol=1e-5)
    assert made.matrix.scores_AC[~listed_AC].max() < made.matrix.scores_AC[listed_AC].min()
    assert made.unknown_words and made.about["scoring"] == "cross_entropy"
    assert bench.progress[-1].done == listed_AC.sum()
    with pytest.raises(UsageError, match=r"column scaling pmi compares .*: --scaling none, or --rerank none"):
        evaluate_run(bench.session, EvaluateOptions("first", rerank=RerankChoice("fast")))
    (result,) = evaluate_run(
        bench.session, EvaluateOptions("first", rerank=RerankChoice("fast", 2), scalings=("none",))
    )
    assert result["column_scaling"] == "none" and result["rerank"]["pairs"] == listed_AC.sum()
    with pytest.raises(UsageError, match="--calib-clips are for column scaling"):
        score(bench, "first", rerank=RerankChoice("fast"), calibration_clips=3)
    with pytest.raises(UsageError, match="a shortlist has no parts"):
        score(bench, "first", rerank=RerankChoice("fast"), shard=parse_shard("1/2"))
    with pytest.raises(UsageError, match="scales columns"):
        score(bench, "fast", rerank=RerankChoice("first"))


def test_a_captioner_shortlists_with_scores_that_are_there(make_bench):
    bench = make_bench("captioner")
    recipe = bench.folder / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("column_scaling: pmi", "column_scaling: none"))
    add_run(bench, "second", "co_attention")
    with pytest.raises(MissingPrerequisiteError, match="run: atrkit score --run first/seed-1 --dataset toy"):
        score(bench, rerank=RerankChoice("first", 2))
    first = score(bench, "first")
    listed_AC = shortlist_by_sorting(first.matrix.scores_AC, 2)
    assert score(bench, rerank=RerankChoice("first", 2)).pairs_made == listed_AC.sum()


def test_another_pool_is_refused(stages):
    """A clip that the first stage's encoder could not read."""
    own = first_stage.clips_as_trained

    def one_clip_less(*arguments, **options):
        clips = own(*arguments, **options)
        kept = tuple(clip for clip in clips.clips if clip.id != "eval-3.wav")
        return CaptionedClips(kept, clips.embeddings.select([clip.id for clip in kept]))

    stages.monkeypatch.setattr(first_stage, "clips_as_trained", one_clip_less)
    with pytest.raises(IntegrityError, match=r"run first/seed-1 has 6 clips and 12 captions of toy/eval, .* 7 and 14"):
        score(stages, rerank=RerankChoice("first", 2))


def test_what_makes_no_sense_is_refused(stages):
    with pytest.raises(UsageError, match="--rerank-k 5 of which run"):
        score(stages, rerank=RerankChoice(k=5))
    with pytest.raises(UsageError, match="--rerank none scores every pair"):
        RerankChoice("none", 3)
    with pytest.raises(MissingPrerequisiteError, match="no run 'nobody' that could shortlist: train it first"):
        score(stages, rerank=RerankChoice("nobody"))
    with pytest.raises(UsageError, match="--rerank is of --metric recall"):
        EvaluateOptions("second", metrics=("perturbation",), rerank=RerankChoice("first"))
    with pytest.raises(UsageError, match="leave --rerank out"):
        ScoreOptions("second", merge=True, rerank=RerankChoice("first"))


def test_a_broken_model_is_named(stages):
    broken = make_model("co_attention", stages)
    with torch.no_grad():
        broken.co_attention.layers[0].words_guided.ff_out.bias.fill_(torch.nan)
    broken.save_pretrained(stages.root / "runs" / "second" / "seed-1")
    with pytest.raises(DivergedError, match=r"listed pairs have no finite score, the first clip 'eval-0\.wav' with"):
        score(stages, rerank=RerankChoice("first", 2))


def test_info_knows_the_file(stages):
    made = score(stages, rerank=RerankChoice("first", 2))
    assert inspect_store(made.path).path == made.path
