"""The closed form against scikit-learn's ridge, and what the label prior adds."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from atrkit.errors import DivergedError, IntegrityError, UsageError
from atrkit.models.ridge import fit_ridge, solve_ridge, tag_direction
from atrkit.models.ridge_retriever import RidgeRetriever
from atrkit.models.text_embedding import StemmedTfIdf

LABELS = ["Dog", "Rain", "Bell"]
CAPTIONS = [["a dog barks", "a hound barks loudly"], ["rain falls"], ["a bell rings", "bells"], ["a dog in the rain"]]


def features(clips=4, dim=6, seed=0):
    return np.random.default_rng(seed).standard_normal((clips, dim))


def tags():
    return np.array([[0.9, 0.1, 0.0], [0.0, 0.8, 0.1], [0.1, 0.0, 0.9], [0.5, 0.6, 0.0]])


def fitted(**options) -> RidgeRetriever:
    text = StemmedTfIdf.fit([caption for of_clip in CAPTIONS for caption in of_clip], LABELS)
    return RidgeRetriever.fit(features(), CAPTIONS, text, tag_probs_AK=tags(), labels=LABELS, **options)


@pytest.mark.parametrize("shape", [(5, 9), (9, 5)])  # either of the two equivalent systems
def test_weights_equal_scikit_learns_ridge(shape):
    rng = np.random.default_rng(1)
    inputs_AF, targets_AD = rng.standard_normal(shape), rng.standard_normal((shape[0], 3))
    oracle = Ridge(alpha=0.7 * shape[1], fit_intercept=False).fit(inputs_AF, targets_AD)
    np.testing.assert_allclose(solve_ridge(inputs_AF, targets_AD, 0.7), oracle.coef_.T, atol=1e-10)


def test_features_are_standardised_so_that_their_scale_does_not_matter():
    captions_AD = np.random.default_rng(2).standard_normal((4, 3))
    scaled = features() * np.array([1, 10, 100, 0.1, 5, 1]) + 7
    plain_AD = fit_ridge(features(), captions_AD).embed_clips(features(), None)
    np.testing.assert_allclose(fit_ridge(scaled, captions_AD).embed_clips(scaled, None), plain_AD, atol=1e-8)


def test_a_feature_that_never_changes_is_harmless():
    constant = np.concatenate([features(), np.full((4, 1), 3.0)], axis=1)
    embedded = fit_ridge(constant, np.eye(4)).embed_clips(constant, None)
    assert np.isfinite(embedded).all()


@pytest.mark.parametrize("place", ["clips", "captions", "tags"])
def test_what_is_not_finite_is_refused(place):
    clips, captions, tag_probs = features(), np.eye(4), tags()
    {"clips": clips, "captions": captions, "tags": tag_probs}[place][2, 1] = np.nan
    with pytest.raises(DivergedError, match=place[:-1]):
        fit_ridge(clips, captions, tag_probs_AK=tag_probs, label_emb_KD=np.eye(3, 4))


def test_the_prior_points_where_the_tags_point():
    label_emb_KD = np.eye(3)
    direction_AD = tag_direction([[1, 0, 0], [0, 0, 1]], label_emb_KD)
    assert direction_AD.argmax(axis=1).tolist() == [0, 2]
    np.testing.assert_allclose(np.linalg.norm(direction_AD, axis=1), 1)


def test_faint_tags_count_by_the_square_root_of_their_probability():
    expected = np.sqrt([0.81, 0.01, 0.0]) @ (np.eye(3) - 1 / 3)  # around the mean label
    expected /= np.linalg.norm(expected)
    np.testing.assert_allclose(tag_direction([[0.81, 0.01, 0.0]], np.eye(3))[0], expected)


def test_ridge_learns_what_the_prior_leaves_over():
    captions_AD, labels_KD = np.random.default_rng(4).standard_normal((4, 5)), np.eye(3, 5)
    weights = fit_ridge(features(), captions_AD, tag_probs_AK=tags(), label_emb_KD=labels_KD)
    left_AD = captions_AD - captions_AD.mean(axis=0) - weights.prior.weight * weights.prior.direction(tags())
    standardised_AF = (features() - features().mean(axis=0)) / features().std(axis=0)
    oracle = Ridge(alpha=standardised_AF.shape[1], fit_intercept=False).fit(standardised_AF, left_AD)
    np.testing.assert_allclose(weights.weights_FD, oracle.coef_.T, atol=1e-10)


def test_g_is_the_least_squares_weight_of_the_prior():
    weights = fitted().weights
    text = StemmedTfIdf.fit([caption for of_clip in CAPTIONS for caption in of_clip], LABELS)
    mean_AD = np.stack([text.embed(of_clip).mean(axis=0) for of_clip in CAPTIONS])
    residual_AD = mean_AD - mean_AD.mean(axis=0)
    direction_AD = weights.prior.direction(tags())
    slope = np.linalg.lstsq(direction_AD.reshape(-1, 1), residual_AD.reshape(-1), rcond=None)[0]
    assert weights.prior.weight == pytest.approx(slope[0])


def test_the_prior_finds_a_sound_that_no_caption_mentions():
    captions = [["a dog barks"], ["rain falls"], ["something else"], ["a dog in the rain"]]
    text = StemmedTfIdf.fit([caption for of_clip in captions for caption in of_clip], LABELS)
    with_prior = RidgeRetriever.fit(features(), captions, text, tag_probs_AK=tags(), labels=LABELS)
    without = RidgeRetriever.fit(features(), captions, text)
    query_D = with_prior.embed_captions(["bells"])[0]
    assert (with_prior.embed_clips(features(), tags()) @ query_D).argmax() == 2
    assert np.abs(without.weights.weights_FD[:, text.embed(["bells"])[0] > 0]).max() < 1e-12


def test_every_training_caption_finds_its_clip_when_the_penalty_is_small():
    model = fitted(ridge_lambda=1e-6)
    clips_AD = model.embed_clips(features(), tags())
    scores = model.embed_captions([of_clip[0] for of_clip in CAPTIONS]) @ clips_AD.T
    assert scores.argmax(axis=1).tolist() == [0, 1, 2, 3]


def test_clips_without_tags_are_refused_by_a_model_with_a_prior():
    with pytest.raises(UsageError, match="label prior"):
        fitted().embed_clips(features(), None)


def test_a_saved_ridge_gives_the_same_numbers(tmp_path):
    model = fitted()
    model.save_pretrained(tmp_path)
    again = RidgeRetriever.from_pretrained(tmp_path)
    np.testing.assert_array_equal(again.embed_clips(features(), tags()), model.embed_clips(features(), tags()))
    np.testing.assert_array_equal(again.embed_captions(["a dog barks"]), model.embed_captions(["a dog barks"]))


def test_a_damaged_ridge_is_refused(tmp_path):
    fitted().save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(IntegrityError, match=r"model\.safetensors"):
        RidgeRetriever.from_pretrained(tmp_path)
