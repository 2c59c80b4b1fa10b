"""Loss and validation of a captioner, as the training loop wants them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor

from atrkit.errors import UsageError
from atrkit.losses import CaptionCrossEntropy
from atrkit.models import Captioner, Ragged
from atrkit.text.vocabulary import PAD_ID
from atrkit.training.augment import Augmentation
from atrkit.training.batches import PairBatch, pairs_by_length, words_with_padding_per_word
from atrkit.training.data import TrainingData
from atrkit.training.settings import StopRequested


@dataclass(frozen=True)
class CaptionWriting:
    """How captions of validation clips are written and scored.

    Args:
        write: one caption per clip.
        fense: score of candidates and the references of each, higher is better.
    """

    write: Callable[[Captioner, Ragged], list[str]]
    fense: Callable[[list[str], list[Sequence[str]]], float]

    def score(self, model: Captioner, data: TrainingData) -> float:
        """Score captions that the model writes of these clips.

        Raises:
            UsageError: not one caption per clip was written.
        """
        candidates = self.write(model, data.frames)
        if len(candidates) != len(data):
            raise UsageError(f"write_captions gave {len(candidates)} captions of {len(data)} clips")
        return float(self.fense(candidates, list(data.captions)))


@dataclass(frozen=True, eq=False)
class TokenBatch:
    """Pairs as padded tensors on the device.

    Args:
        frames_BTF: raw.
        frame_lengths_B: frames of each clip.
        read_BL: `<bos>` and words: what the decoder reads.
        said_BL: words and `<eos>`: what it should say.
    """

    frames_BTF: Tensor
    frame_lengths_B: Tensor
    read_BL: Tensor
    said_BL: Tensor


class CaptionTensors:
    """Frames and tokens of one split on the device, gathered by index.

    Args:
        data: clips and captions.
        model: tokenises.
        device: where they are held.
    """

    def __init__(self, data: TrainingData, model: Captioner, device: torch.device) -> None:
        self._device = device
        self._frames = data.frames.to(device)
        self._tokens = model.tokenise(data.all_captions).to(device)

    def gather(self, batch: PairBatch) -> TokenBatch:
        """Take a batch, padded to its longest clip and caption."""
        frames_BTF, frame_lengths_B = self._frames.gather(batch.clip_index_B.to(self._device))
        tokens_BL, _ = self._tokens.gather(batch.caption_index_B.to(self._device))
        said_BL = tokens_BL[:, 1:]
        # <eos> is never read: it would be mixed into longer captions
        read_BL = tokens_BL[:, :-1].masked_fill(said_BL == PAD_ID, PAD_ID)
        return TokenBatch(frames_BTF, frame_lengths_B, read_BL, said_BL)


class CaptionerTask:
    """Loss and validation of a captioner.

    Args:
        model: on `device`.
        loss: of logits and the words that come.
        augment: varies training pairs.
        train: clips and captions to train on.
        val: clips and captions to validate on.
        batch_size: pairs at a time in validation.
        device: where frames and tokens are held.
        writing: how captions are written and scored in validation; None: they are not.
        stop_requested: asked before every batch of a validation; the exception type it gives is raised.
    """

    def __init__(
        self,
        model: Captioner,
        loss: CaptionCrossEntropy,
        augment: Augmentation,
        train: TrainingData,
        val: TrainingData | None,
        batch_size: int,
        device: torch.device,
        writing: CaptionWriting | None = None,
        stop_requested: StopRequested | None = None,
    ) -> None:
        self.model = model
        self._loss = loss
        self._augment = augment
        self._train = train
        self._val = val
        self._batch_size = batch_size
        self._writing = writing
        self._stop_requested = stop_requested
        self.train_tensors = CaptionTensors(train, model, device)
        self._val_tensors = None if val is None else CaptionTensors(val, model, device)

    def loss(self, batch: PairBatch) -> Tensor:
        """Cross-entropy per token of varied pairs; the words to be said are not varied."""
        tokens = self.train_tensors.gather(batch)
        model = self.model
        frames_BTF, frame_lengths_B, word_emb_BLD = self._augment(
            model.standardise(tokens.frames_BTF, tokens.frame_lengths_B),
            tokens.frame_lengths_B,
            model.decoder.embed_words(tokens.read_BL),
            batch.generator(),
        )
        logits_BLV = model.decoder(word_emb_BLD, model.project(frames_BTF), frame_lengths_B)
        return self._loss(logits_BLV, tokens.said_BL)  # type: ignore[no-any-return]

    def terms(self, batch: PairBatch) -> int:
        """Tokens: words, and one end per caption."""
        return int(self._train.words_of_caption_C[batch.caption_index_B.numpy()].sum()) + len(batch)

    @torch.no_grad()
    def broken_clips(self, batch: PairBatch) -> list[str]:
        """Ids of the clips whose logits are not finite, without augmentation, which would blame their partners too."""
        self.model.eval()
        tokens = self.train_tensors.gather(batch)
        logits_BLV = self.model(tokens.frames_BTF, tokens.frame_lengths_B, tokens.read_BL)
        is_broken_B = ~logits_BLV.isfinite().flatten(1).all(dim=1).cpu()
        return [self._train.clip_ids[a] for a in batch.clip_index_B[is_broken_B].tolist()]

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """val_loss, and fense where captions are written."""
        if self._val is None or self._val_tensors is None:
            return {}
        self.model.eval()
        entry = {"val_loss": self._validation_loss(self._val, self._val_tensors)}
        if self._writing is not None:
            entry["fense"] = self._writing.score(self.model, self._val)
        return entry

    def figures(self, batches: Sequence[PairBatch]) -> dict[str, float]:
        """How many word positions are computed for each word."""
        return {"padding": words_with_padding_per_word(self._train, batches)}

    def fingerprint(self) -> dict[str, Any]:
        """Model, loss, augmentation and data."""
        config = json.dumps(self.model.config, sort_keys=True).encode()
        return {
            "model": sha256(config).hexdigest()[:16],
            "loss": repr(self._loss),
            "augmentation": repr(self._augment),
            "training data": self._train.sha256[:16],
            "validation data": None if self._val is None else self._val.sha256[:16],
        }

    def _validation_loss(self, val: TrainingData, tensors: CaptionTensors) -> float:
        """Nats per token over all captions of the split, unsmoothed and unvaried."""
        cross_entropy = CaptionCrossEntropy()
        total = torch.zeros((), dtype=torch.float64, device=self.model.device)
        for batch in pairs_by_length(val, batch_size=self._batch_size):
            self._heed_stop()
            tokens = tensors.gather(batch)
            logits_BLV = self.model(tokens.frames_BTF, tokens.frame_lengths_B, tokens.read_BL)
            tokens_said = (tokens.said_BL != PAD_ID).sum()
            total += cross_entropy(logits_BLV, tokens.said_BL).double() * tokens_said
        return float(total) / float(val.words_of_caption_C.sum() + len(val.all_captions))

    def _heed_stop(self) -> None:
        stop = self._stop_requested() if self._stop_requested is not None else None
        if stop is not None:
            raise stop("stopped in a validation: the same command continues there")
