"""Systems of one pool are compared, others are refused or cut down to what they share."""

import numpy as np
import pytest

from atrkit import ScoreMatrix
from atrkit.errors import UsageError
from atrkit.metrics.ranking import evaluate
from atrkit.score_matrix import BlockedScores
from atrkit.scoring.scaling import audio_to_text_matrix
from atrkit.workflows.compared_system import Member, System
from atrkit.workflows.shared_pool import intersect, left_out_lines, refuse_other_pools

CLIPS = ["rain", "dog", "sea", "car", "owl"]


def matrix(clips: list[str], per_clip: int = 2, seed: int = 0) -> ScoreMatrix:
    captions = [(f"{clip}#{k}", clip) for k in range(per_clip) for clip in clips]
    scores_AC = np.random.default_rng(seed).normal(size=(len(clips), len(captions)))
    return ScoreMatrix(scores_AC, clips, [caption for caption, _ in captions], [clip for _, clip in captions])


def system(name: str, scores, **more) -> System:
    return System(name, (Member(name, scores, "cosine", **more),))


def by_hand(scores: ScoreMatrix, clips: list[str], captions: list[str]) -> ScoreMatrix:
    """A smaller matrix, pair by pair."""
    row, column = scores.clip_ids.index, scores.caption_ids.index
    small = [[scores.scores_AC[row(clip), column(caption)] for caption in captions] for clip in clips]
    return ScoreMatrix(small, clips, captions, [caption.partition("#")[0] for caption in captions])


def test_the_same_pool_in_another_order_is_the_same_pool():
    refuse_other_pools([system("one", matrix(CLIPS)), system("other", matrix(CLIPS[::-1]))])


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (matrix(CLIPS[:4]), "one has 5 clips and other 4: clip 'owl' is in one and not in other; only"),
        (matrix([*CLIPS, "bee", "cow"]), "clip 'bee' is in other and not in one, and 1 more differ"),
        (matrix(CLIPS, per_clip=1), "one has 10 captions and other 5: caption 'car#1' is in one and not in other"),
    ],
)
def test_other_pools_are_refused_with_what_differs_and_the_way_out(other, message):
    with pytest.raises(UsageError) as refused:
        refuse_other_pools([system("one", matrix(CLIPS)), system("other", other)])
    assert message in str(refused.value) and "--intersect" in str(refused.value)


def test_a_member_of_another_pool_is_found_among_seeds():
    seeds = System("seeds", (Member("a", matrix(CLIPS), "x"), Member("b", matrix(CLIPS[1:]), "x")))
    with pytest.raises(UsageError, match="'rain' is in a and not in b"):
        refuse_other_pools([seeds])


def test_ids_with_another_ground_truth_are_no_same_pool():
    first = matrix(CLIPS)
    moved = ["sea" if caption == "dog#1" else clip for caption, clip in zip(first.caption_ids, first.clip_of_caption,
                                                                            strict=True)]  # fmt: skip
    other = ScoreMatrix(first.scores_AC, first.clip_ids, first.caption_ids, moved)
    assert other.pool_id == first.pool_id
    for check in (refuse_other_pools, intersect):
        with pytest.raises(UsageError, match="caption 'dog#1' belongs to clip 'dog' in one and to 'sea' in other"):
            check([system("one", first), system("other", other)])


@pytest.mark.parametrize("in_blocks", [False, True])
def test_what_is_shared_is_ranked_as_the_smaller_matrices_are(in_blocks):
    first, second = matrix(["owl", "rain", "dog", "sea"], 2), matrix(["sea", "car", "owl", "dog"], 3, seed=1)
    shown = first
    if in_blocks:
        shown = BlockedScores(lambda a, b: first.scores_AC[a:b], first.clip_ids, first.caption_ids,
                              first.clip_of_caption)  # fmt: skip
    systems, left_out = intersect([system("one", shown), system("other", second)])
    assert left_out == {"one": {"clips": 1, "captions": 2}, "other": {"clips": 1, "captions": 6}}
    clips = ["dog", "owl", "sea"]
    captions = [f"{clip}#{k}" for clip in clips for k in range(2)]
    refuse_other_pools(systems)
    for kept, whole in zip(systems, (first, second), strict=True):
        expected = evaluate(by_hand(whole, clips, captions))
        for direction, figures in evaluate(kept.members[0].scores).items():
            assert figures == pytest.approx(expected[direction], rel=1e-12)


def test_scaling_sees_what_is_shared_alone_and_calibration_follows_the_captions():
    shared = ["dog", "owl"]  # neither the first nor next to each other
    first, second = matrix(CLIPS), matrix(shared, 1)
    loss_KC = np.arange(30.0).reshape(3, 10)
    one = system("one", first, column_scaling="minmax", loss_KC=loss_KC)
    (kept, _), _ = intersect([one, system("other", second)])
    member = kept.members[0]
    expected = audio_to_text_matrix(by_hand(first, shared, [f"{clip}#0" for clip in shared]), "minmax")
    scaled = audio_to_text_matrix(member.scores, member.column_scaling)
    assert evaluate(scaled)["audio_to_text"] == pytest.approx(evaluate(expected)["audio_to_text"])
    assert member.loss_KC.tolist() == loss_KC[:, [first.caption_ids.index(c) for c in second.caption_ids]].tolist()


def test_captions_of_clips_that_are_not_shared_are_left_out_and_distractors_stay():
    first = ScoreMatrix(np.eye(3, 2), ["rain", "dog", "sea"], ["r", "d"], ["rain", "dog"])
    second = ScoreMatrix(np.eye(2), ["rain", "sea"], ["r", "s"], ["rain", "sea"])
    systems, left_out = intersect([system("one", first), system("other", second)])
    assert [s.members[0].scores.clip_ids for s in systems] == [("rain", "sea"), ("rain", "sea")]
    assert [s.members[0].scores.caption_ids for s in systems] == [("r",), ("r",)]
    assert left_out_lines(left_out, systems[0].members[0].scores) == [
        "shared: 2 clips and 1 caption, ranked again",
        "  left out of one: 1 clip and 1 caption",
        "  left out of other: 0 clips and 1 caption",
    ]


def test_pools_that_share_nothing_are_refused():
    with pytest.raises(UsageError, match="one, other share 0 clips and no caption of them"):
        intersect([system("one", matrix(["a", "b"])), system("other", matrix(["c"]))])
