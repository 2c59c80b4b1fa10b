"""Files of scores as other programs write them, and `atrkit eval` of them."""

import csv
import json

import numpy as np
from click.testing import CliRunner
from typer.main import get_command

from atrkit import ScoreMatrix
from atrkit.cli.app import app
from atrkit.exchange.queries import query_scores
from atrkit.exchange.write_trec import write_trec_run
from atrkit.store import save_scores

CLIPS = ("Santa Motor.wav", '"dogs", two.wav', "50%.wav", "é#1.wav", "rain/a.wav", "rain/b.wav", "z.wav")
CAPTIONS_OF_CLIP = (3, 1, 2, 4, 1, 2, 5)


COMMAND = get_command(app)  # once: building it takes longer than most of these tests


def run(*words, code=0):
    result = CliRunner().invoke(COMMAND, ["eval", *(str(word) for word in words)])
    assert result.exit_code == code, (result.exit_code, result.stderr, result.exception)
    return result


def figures(*words):
    result = json.loads(run(*words, "--json").stdout)
    return {name: result[name] for name in ("text_to_audio", "audio_to_text", "pool_id")}


def error(*words, code):
    lines = run(*words, code=code).stderr.splitlines()
    assert len([line for line in lines if line.startswith("atrkit: ")]) == 1, lines
    return lines[-1].removeprefix("atrkit: ")


def small_matrix(seed=0):
    """Few distinct scores, so that many tie; float32 holds them exactly. Rows and columns are in no order."""
    rng = np.random.default_rng(seed)
    clips = [CLIPS[a] for a in rng.permutation(len(CLIPS))]
    captions = [
        (f"{clip}#{n}", clip) for clip, count in zip(CLIPS, CAPTIONS_OF_CLIP, strict=True) for n in range(1, count + 1)
    ]
    captions = [captions[c] for c in rng.permutation(len(captions))]
    scores_AC = rng.integers(0, 12, size=(len(clips), len(captions))) / 8 - 1
    return ScoreMatrix(scores_AC, clips, [caption for caption, _ in captions], [clip for _, clip in captions])


def text_of(caption_id):
    """What a caption says: each one something else."""
    return f'It says, "{caption_id}".'


def write_truth(path, matrix, *, shuffled=False):
    pairs = sorted(zip(matrix.caption_ids, matrix.clip_of_caption, strict=True), reverse=shuffled)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["caption_id", "clip_id", "caption"])
        writer.writerows((caption, clip, text_of(caption)) for caption, clip in pairs)
    return path


def write_pairs(path, matrix, name_of=str, delimiter=","):
    rows = [
        (clip, name_of(caption), repr(float(matrix.scores_AC[a, c])))
        for a, clip in enumerate(matrix.clip_ids)
        for c, caption in enumerate(matrix.caption_ids)
    ]
    np.random.default_rng(9).shuffle(rows)
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([("clip", "caption", "score"), *rows])
    return path


def written(folder, form, matrix, *, with_truth=True):
    """A matrix in one of the formats."""
    ids = {"clip_ids": np.array(matrix.clip_ids), "caption_ids": np.array(matrix.caption_ids)}
    if with_truth:
        ids["clip_of_caption"] = np.array(matrix.clip_of_caption)
    match form:
        case "h5":
            save_scores(folder / "s.h5", matrix)
            return folder / "s.h5"
        case "npz":
            np.savez(folder / "s.npz", scores=matrix.scores_AC, **ids)
            return folder / "s.npz"
        case "compressed npz":
            np.savez_compressed(folder / "c.npz", scores_AC=np.asfortranarray(matrix.scores_AC), **ids)
            return folder / "c.npz"
        case "npy":
            np.save(folder / "s.npy", matrix.scores_AC.astype(">f4"))
            (folder / "s.clips.txt").write_text("".join(f"{clip}\n" for clip in matrix.clip_ids))
            with (folder / "s.captions.csv").open("w", newline="") as file:
                rows = zip(matrix.caption_ids, matrix.clip_of_caption, strict=True)
                csv.writer(file).writerows([("caption_id", "clip_id"), *rows])
            return folder / "s.npy"
        case "table of ids":
            return write_pairs(folder / "ids.csv", matrix)
        case "table of texts":
            return write_pairs(folder / "texts.csv", matrix, text_of)
        case "tabs":
            return write_pairs(folder / "s.tsv", matrix, delimiter="\t")
        case "run":
            write_trec_run(folder / "s.run", query_scores(matrix, "text-to-audio"), "ours")
            return folder / "s.run"
    raise ValueError(form)


def npz(path, **changed):
    arrays = {
        "scores": np.ones((2, 3)),
        "clip_ids": np.array(["a", "b"]),
        "caption_ids": np.array(["x", "y", "z"]),
        "clip_of_caption": np.array(["a", "a", "b"]),
    } | changed
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path
