"""A captioner on 76 real clips with mn04's frames: how far it overfits, and what its cross-entropy adds to `ridge`.

Five splits into 61 training and 15 test clips (`import --split 80/20 --seed`), everything by the commands. Nothing was
tuned on these clips; sixty clips are too few for a captioner, and the figures say how much too few.
"""

import json
from pathlib import Path
from statistics import mean, stdev

import pytest

from atrkit import ScoreMatrix
from atrkit.metrics.ranking import evaluate
from atrkit.scoring.fusion import fuse_scores
from atrkit.scoring.scaling import audio_to_text_matrix
from atrkit.store import load_scores

pytestmark = pytest.mark.bench

SHARED = Path(__file__).resolve().parents[3] / "shared"
CAPTIONS = SHARED / "data" / "clips" / "captions.csv"
WEIGHTS = SHARED / "weights" / "mn04_as_mAP_432.pt"
SPLITS = range(5)


def recall(to_audio: ScoreMatrix, to_text: ScoreMatrix) -> dict[str, float]:
    return {
        "T2A R@1": 100 * evaluate(to_audio)["text_to_audio"]["R@1"],
        "A2T R@1": 100 * evaluate(to_text)["audio_to_text"]["R@1"],
    }


@pytest.fixture(scope="module")
def splits(tmp_path_factory, atrkit) -> list[dict[str, dict[str, float]]]:
    """For each split the figures of each method."""
    for needed in (CAPTIONS, WEIGHTS):
        if not needed.is_file():
            pytest.skip(f"needs ../shared: {needed} is not there")
    return [figures_of_split(tmp_path_factory.mktemp("split"), atrkit, split) for split in SPLITS]


def figures_of_split(workspace, atrkit, split: int) -> dict[str, dict[str, float]]:
    place = ("--workspace", workspace)
    atrkit("import", CAPTIONS, "--name", "clips", "--split", "80/20", "--seed", split, *place)
    atrkit("extract", "--encoder", "mn04", "--checkpoint", WEIGHTS, *place)
    atrkit("train", "own_recordings", *place)
    trained = atrkit("train", "own_captioner", "--set", "training.validate_every=1", *place)
    for run in ("own_recordings", "own_captioner"):
        atrkit("score", "--run", run, *place)
    captions = atrkit("eval", "--metric", "caption", "--run", "own_captioner", "--json", *place).record
    ridge, captioner = (load_scores(workspace / f"runs/{run}/seed-1/scores.h5") for run in RUNS)
    last = json.loads((workspace / "runs/own_captioner/seed-1/metrics.jsonl").read_text().splitlines()[-1])
    fused = fuse_scores([ridge, captioner])
    own_C = captioner.scores_AC[captioner.clip_index_of_caption_C, range(captioner.scores_AC.shape[1])]
    return {
        "ridge (own_recordings)": recall(ridge, ridge),
        "captioner, raw": recall(captioner, captioner),
        "captioner, min-max": recall(captioner, audio_to_text_matrix(captioner, "minmax")),
        "ridge + captioner": recall(fused, fused),
        "nats per word": {"training, last epoch": last["train_loss"], "test, own captions": float(-own_C.mean())},
        "CIDEr-D": {
            "captioner": 100 * captions["figures"]["cider_d"],
            "most frequent caption": 100 * captions["baseline"]["figures"]["cider_d"],
        },
        "seconds": {"training": trained.seconds},
    }


RUNS = ("own_recordings", "own_captioner")


def test_what_sixty_clips_teach_a_captioner(splits, show_table, keep_figures):
    rows = []
    for method, figures in splits[0].items():
        for name in figures:
            values = [split[method][name] for split in splits]
            rows.append((f"{method}: {name}", f"{mean(values):.2f}", f"{stdev(values):.2f}"))
    show_table("A captioner on 76 real clips, five splits", ("", "mean", "deviation"), rows)
    keep_figures("captioner_real_clips", {"splits": splits})
    nats = [split["nats per word"] for split in splits]
    assert all(each["test, own captions"] > each["training, last epoch"] for each in nats)
    fused, alone = (
        mean(split[name]["T2A R@1"] for split in splits) for name in ("ridge + captioner", "captioner, raw")
    )
    assert fused > alone
