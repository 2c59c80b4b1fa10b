"""Mean, NetRVLAD and HCI on 76 real clips with mn04's frames, beside `ridge`, over ten splits.

Each split is 61 training and 15 test clips (`import --split 80/20 --seed`), everything by the commands; words are
embedded from scratch. Nothing was tuned on these clips. Fifteen clips per split are few: what counts are the paired
differences over splits.
"""

from pathlib import Path
from statistics import mean, stdev

import pytest

pytestmark = pytest.mark.bench

SHARED = Path(__file__).resolve().parents[3] / "shared"
CAPTIONS = SHARED / "data" / "clips" / "captions.csv"
WEIGHTS = SHARED / "weights" / "mn04_as_mAP_432.pt"
SPLITS = range(10)
SMALL = (
    "encoder={name: mn04}",
    "data={caption_choice: all}",
    "training={epochs: 30, batch_size: 32, keep_best: last}",
)


def pooled(audio: str, text: str) -> tuple[str, ...]:
    return (f"model.audio.pooling={{{audio}}}", f"model.text.pooling={{{text}}}")


SYSTEMS = {
    "ridge": ("own_recordings", ()),
    "mean": ("synthetic/retrieval", (*SMALL, *pooled("name: mean", "name: mean"))),
    "NetRVLAD": (
        "synthetic/retrieval",
        (*SMALL, *pooled("name: netrvlad, clusters: 12", "name: netrvlad, clusters: 20")),
    ),
    "HCI, clip-sentence alone": (
        "synthetic/hci",
        (*SMALL, "model.frame_word_weight=0", "model.segment_phrase_weight=0"),
    ),
    "HCI": ("synthetic/hci", SMALL),
}
AGAINST = {"NetRVLAD": "mean", "HCI": "HCI, clip-sentence alone"}


def recall_of_split(workspace, atrkit, split: int) -> dict[str, tuple[float, float]]:
    """R@1 of each system, text-to-audio and audio-to-text, in %."""
    place = ("--workspace", workspace)
    atrkit("import", CAPTIONS, "--name", "clips", "--split", "80/20", "--seed", split, *place)
    atrkit("extract", "--encoder", "mn04", "--checkpoint", WEIGHTS, *place)
    figures = {}
    for number, (system, (recipe, overrides)) in enumerate(SYSTEMS.items()):
        settings = [word for override in overrides for word in ("--set", override)]
        atrkit("train", recipe, *settings, "--name", f"system-{number}", *place)
        result = atrkit("eval", "--metric", "recall", "--run", f"system-{number}", "--json", *place).record
        figures[system] = tuple(100 * result[way]["R@1"] for way in ("text_to_audio", "audio_to_text"))
    return figures


def test_what_the_mechanisms_do_on_real_clips(tmp_path_factory, atrkit, show_table, keep_figures):
    for needed in (CAPTIONS, WEIGHTS):
        if not needed.is_file():
            pytest.skip(f"needs ../shared: {needed} is not there")
    splits = [recall_of_split(tmp_path_factory.mktemp("split"), atrkit, split) for split in SPLITS]
    rows = []
    for system in SYSTEMS:
        both_ways = [[figures[system][way] for figures in splits] for way in (0, 1)]
        shown = [f"{mean(values):.1f} ({stdev(values):.1f})" for values in both_ways]
        rows.append((system, *shown, *differences(splits, system)))
    show_table(
        "76 real clips, ten splits, R@1: mean (deviation), and paired differences",
        ("", "T2A", "A2T", "T2A", "A2T"),
        rows,
    )
    keep_figures("retrieval_real_clips", {"splits": splits})
    chance = 100 / 15
    assert all(mean(figures[system][0] for figures in splits) > 2 * chance for system in SYSTEMS)


def differences(splits: list[dict[str, tuple[float, float]]], system: str) -> tuple[str, str]:
    """Mean difference from what it is compared with, and twice its standard error over splits."""
    other = AGAINST.get(system)
    if other is None:
        return "", ""
    paired = [[figures[system][way] - figures[other][way] for figures in splits] for way in (0, 1)]
    wide = 2 / len(splits) ** 0.5
    return tuple(f"{mean(values):+.1f} ± {wide * stdev(values):.1f}" for values in paired)  # type: ignore[return-value]
