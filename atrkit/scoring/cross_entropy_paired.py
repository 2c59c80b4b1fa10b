"""Cross-entropy of listed pairs, where a matrix of all pairs would be waste."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch

from atrkit.errors import UsageError
from atrkit.models.captioner import Captioner
from atrkit.models.ragged import Ragged
from atrkit.scoring.cross_entropy_frames import evaluation_mode, require_finite_losses, require_usable_frames
from atrkit.scoring.cross_entropy_products import Precision, product_dtype

_BATCH_PAIRS = 64


def paired_cross_entropy(
    captioner: Captioner,
    frames: Ragged,
    clip_index_N: npt.ArrayLike,
    captions_N: Sequence[str],
    *,
    precision: Precision = "fp32",
    clip_ids: Sequence[str] | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> npt.NDArray[np.float32]:
    """Cross-entropy of pairs of a clip and a caption, one after the other.

    Args:
        captioner: trained.
        frames: of all clips.
        clip_index_N: clip of each pair.
        captions_N: caption of each pair; unknown words count as `<unk>`.
        precision: of matrix products.
        clip_ids: of all clips, for messages.
        on_progress: told the number of pairs of each finished batch.

    Returns:
        (N,) nats per predicted token, `<eos>` counted, lower is better: as `caption_cross_entropy` gives for the same
        pair, but for rounding. The last bits depend on which pairs share a batch.

    Raises:
        UsageError: as many clips as captions are needed; a caption without words, a clip without frames.
        DivergedError: NaN or infinity in frames or losses; names the clips.

    Source: paper 004, section 3.2; as for `caption_cross_entropy`.
    """
    clips_N = torch.as_tensor(np.asarray(clip_index_N, dtype=np.int64))
    if len(clips_N) != len(captions_N):
        raise UsageError(f"{len(clips_N)} clips and {len(captions_N)} captions do not make pairs")
    loss_N = torch.zeros(len(clips_N))
    if not len(clips_N):
        return loss_N.numpy()
    require_usable_frames(frames, sorted(set(clips_N.tolist())), clip_ids)
    tokens = captioner.tokenise(captions_N)
    lengths = np.stack([frames.lengths_A[clips_N].cpu().numpy(), tokens.lengths_A.numpy()])
    order_N = torch.from_numpy(np.lexsort(lengths))  # by caption first: the decoder costs most
    with evaluation_mode(captioner):
        for pairs_B in order_N.split(_BATCH_PAIRS):
            loss_N[pairs_B] = _losses(captioner, frames, clips_N[pairs_B], tokens, pairs_B, precision)
            if on_progress:
                on_progress(len(pairs_B))
    require_finite_losses(loss_N[:, None], clips_N.tolist(), clip_ids, precision)
    return loss_N.numpy()


def _losses(
    captioner: Captioner,
    frames: Ragged,
    clips_B: torch.Tensor,
    tokens: Ragged,
    pairs_B: torch.Tensor,
    precision: Precision,
) -> torch.Tensor:
    frames_BTF, frame_lengths_B = frames.gather(clips_B.to(frames.values.device))
    tokens_BL, token_lengths_B = tokens.gather(pairs_B)
    device = captioner.device
    frames_BTF, frame_lengths_B, tokens_BL = (x.to(device) for x in (frames_BTF, frame_lengths_B, tokens_BL))
    memory_BTD = captioner.memory(frames_BTF, frame_lengths_B)
    word_emb_BLD = captioner.decoder.embed_words(tokens_BL[:, :-1])
    dtype = product_dtype(precision)
    with torch.autocast(device.type, dtype=dtype, enabled=precision != "fp32"):
        logits_BLV = captioner.decoder(word_emb_BLD, memory_BTD, frame_lengths_B)
    log_prob_BLV = logits_BLV.log_softmax(dim=-1, dtype=torch.float32)
    nll_BL = -log_prob_BLV.gather(2, tokens_BL[:, 1:, None])[..., 0]
    predictions_B = (token_lengths_B - 1).to(device)
    is_padding_BL = torch.arange(nll_BL.shape[1], device=device) >= predictions_B[:, None]
    loss_B: torch.Tensor = nll_BL.masked_fill(is_padding_BL, 0).double().sum(dim=1) / predictions_B
    return loss_B.float().cpu()
