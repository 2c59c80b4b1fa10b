"""What the tests of scoring share: a workspace without audio, and an oracle that scores one pair at a time."""

import dataclasses
import itertools
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from atrkit.datasets.manifest import Caption, Clip, Dataset, save_dataset
from atrkit.models import Captioner, TransformerDecoder
from atrkit.models.ridge_retriever import RidgeRetriever
from atrkit.models.text_embedding import StemmedTfIdf
from atrkit.recipe.load import load_recipe
from atrkit.store.clip_embeddings import gather_embeddings
from atrkit.store.embeddings import load_embeddings, save_embeddings
from atrkit.store.score_parts import ScoreParts
from atrkit.text.vocabulary import CaptionVocabulary
from atrkit.workflows import score_rows
from atrkit.workflows.run_folder import RunFolder
from atrkit.workflows.score import make_scores, score_inputs, score_split
from atrkit.workflows.score_shards import merge_shards
from atrkit.workflows.session import Session
from atrkit.workflows.trained_run import clips_as_trained, open_run
from atrkit.workflows.workspace import Workspace

FRAME_DIM = 5
SPLITS = {"dev": 9, "eval": 7}
WORDS = ["a", "dog", "barks", "while", "rain", "falls", "and", "some", "bird", "sings"]
PROVENANCE = {"encoder": "logmel", "sample_rate_hz": 16000, "settings": {"hop": 160}, "frame_dtype": "float32"}
CAPTIONER = """\
source: ours
encoder: {name: logmel}
model: {name: transformer_captioner, d_model: 8, num_layers: 2, num_heads: 2, d_ff: 16}
loss: {name: cross_entropy}
optimizer: {name: adamw, lr: 1e-3}
training: {epochs: 1, batch_size: 4}
retrieval: {column_scaling: pmi, calibration_clips: 4}
"""
RIDGE = """\
source: ours
encoder: {name: logmel}
model: {name: ridge}
retrieval: {calibration_clips: 4}
"""


def make_clips():
    draw, number, clips = np.random.default_rng(0), itertools.count(), []
    for split, count in SPLITS.items():
        for n in range(count):
            captions = (" ".join(draw.choice(WORDS, draw.integers(1, 6))) for _ in range(2))
            ids = (Caption(f"{split}-{n}#{c}", text) for c, text in enumerate(captions, start=1))
            clip = Clip(f"{n}.wav", "", f"{next(number):064x}", 16000, 16000, 1, split, tuple(ids))
            clips.append(dataclasses.replace(clip, id=f"{split}-{n}.wav"))
    return clips


def make_embeddings(clips):
    """Frames depend on the audio alone."""
    draws = [np.random.default_rng(int(clip.sha256, 16)) for clip in clips]
    return gather_embeddings(
        [clip.id for clip in clips],
        [clip.sha256 for clip in clips],
        [draw.standard_normal((draw.integers(1, 6), FRAME_DIM), dtype=np.float32) for draw in draws],
        [draw.standard_normal(3, dtype=np.float32) for draw in draws],
        None,
        labels=(),
        frame_dim=FRAME_DIM,
        clip_dim=3,
        frame_dtype="float32",
        provenance=PROVENANCE,
    )


def make_captioner(seed=0):
    torch.manual_seed(seed)
    words = CaptionVocabulary.from_captions([" ".join(WORDS[:8])]).words  # bird and sings are unknown
    return Captioner(FRAME_DIM, words, TransformerDecoder(len(words), dim=8, num_layers=2, num_heads=2, ff_dim=16))


class Bench:
    """A workspace without audio: a dataset of 16 clips, its embeddings, a finished run, and what was said."""

    def __init__(self, root, recipe, monkeypatch) -> None:
        self.root, self.monkeypatch, self.said, self.progress = root, monkeypatch, [], []
        self.session = Session(Workspace(root), self.said.append, self._open_progress)
        self.folder = root / "runs" / "first" / "seed-1"
        self.path = self.folder / "scores.h5"
        self.parts = ScoreParts(self.path, "")
        self.write(make_clips())
        (root / "recipe.yaml").write_text(recipe)
        run = RunFolder(self.folder)
        clips = {clip.id: clip.sha256 for clip in make_clips() if clip.split == "dev"}
        run.start(load_recipe(root / "recipe.yaml"), {"clips": clips, "embeddings": PROVENANCE})
        if recipe == CAPTIONER:
            make_captioner().save_pretrained(self.folder)
        else:
            captions = [[caption.text for caption in clip.captions] for clip in make_clips()]
            text = StemmedTfIdf.fit([text for texts in captions for text in texts], ())
            RidgeRetriever.fit(make_embeddings(make_clips()).clip_emb_AD, captions, text).save_pretrained(self.folder)
        finished = {"dataset": "toy", "train_split": "dev", "test_split": "eval", "checkpoint": None, "model": "x"}
        run.finish(finished)

    def write(self, clips, order=1):
        """Dataset, and embeddings in its order or the other way round."""
        save_dataset(Dataset("toy", tuple(clips), self.root / "data" / "toy"))
        save_embeddings(self.root / "embeddings" / "toy" / "logmel.h5", make_embeddings(list(clips)[::order]))

    @contextmanager
    def _open_progress(self, description, total, unit, done=0):
        self.progress.append(SimpleNamespace(what=description, total=total, done=done))

        def advance(items=1, audio_s=0.0, limit=""):
            self.progress[-1].done += items

        yield advance

    make_clips = staticmethod(make_clips)
    make_captioner = staticmethod(make_captioner)

    def clips_of(self, split):
        return [clip for clip in make_clips() if clip.split == split]

    def captions_of(self, split):
        return [caption.text for clip in self.clips_of(split) for caption in clip.captions]

    def score(self, split="eval", **options):
        """Score a split as a command does, from what lies on the disk."""
        self.said.clear()
        trained = open_run(self.session, "first")
        dataset = self.session.workspace.load_dataset("toy")
        clips = clips_as_trained(self.session, trained, dataset, split)
        return score_split(self.session, trained, dataset, split, clips, **options)

    def score_for(self, scalings, asked=None):
        """Score the split for these column scalings, as `eval` does."""
        self.said.clear()
        trained, dataset = open_run(self.session, "first"), self.session.workspace.load_dataset("toy")
        clips = clips_as_trained(self.session, trained, dataset, "eval")
        inputs = score_inputs(self.session, trained, dataset, "eval", clips, calibration_clips=asked, scalings=scalings)
        return make_scores(self.session, inputs)

    def merge(self, **wanted):
        self.said.clear()
        trained, dataset = open_run(self.session, "first"), self.session.workspace.load_dataset("toy")
        return merge_shards(
            self.session, trained, dataset, "eval", clips_as_trained(self.session, trained, dataset, "eval"), **wanted
        )

    @property
    def heard(self):
        return "\n".join(self.said)


@pytest.fixture
def make_bench(tmp_path, monkeypatch):
    monkeypatch.setitem(score_rows.MOST_CLIPS_PER_PART, "cpu", 3)  # 7 clips: three parts
    names = itertools.count()
    recipes = {"captioner": CAPTIONER, "ridge": RIDGE}
    return lambda kind="captioner": Bench(tmp_path / str(next(names)), recipes[kind], monkeypatch)


@pytest.fixture
def bench(make_bench):
    return make_bench()


@pytest.fixture
def saved_parts(monkeypatch):
    """Numbers of the parts that are written."""
    saved, save = [], ScoreParts.save

    def count(self, part, plan, losses):
        save(self, part, plan, losses)
        saved.append(part)

    monkeypatch.setattr(ScoreParts, "save", count)
    return saved


@pytest.fixture
def stop_after(monkeypatch):
    """Ctrl-C when so many parts are written: `with stop_after(2): ...`."""

    @contextmanager
    def stopping(count):
        save, left = ScoreParts.save, itertools.count(count, -1)

        def interrupted(*arguments):
            if next(left) == 0:
                raise KeyboardInterrupt
            save(*arguments)

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(ScoreParts, "save", interrupted)
            yield

    return stopping


@pytest.fixture
def losses_of_single_pairs(bench):
    """The oracle: mean of minus log p of each word and of the end, from the logits of the model in `bench`."""
    return lambda clip_ids, captions: one_pair_at_a_time(bench, clip_ids, captions)


def one_pair_at_a_time(bench, clip_ids, captions):
    embeddings = load_embeddings(bench.root / "embeddings" / "toy" / "logmel.h5")
    model, rows = Captioner.from_pretrained(bench.folder), []
    for clip_id in clip_ids:
        frames_TF = torch.from_numpy(embeddings.frames_of(embeddings.clip_ids.index(clip_id)))
        losses = []
        for caption in captions:
            tokens_L = model.tokenise([caption]).values
            with torch.no_grad():
                logits_1LV = model(frames_TF[None], torch.tensor([len(frames_TF)]), tokens_L[None, :-1])
            losses.append(float(F.cross_entropy(logits_1LV[0], tokens_L[1:])))
        rows.append(losses)
    return np.array(rows)
