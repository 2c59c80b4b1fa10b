"""What is compared: one line per system, what it is compared with, and what its paper says of the difference."""

from dataclasses import dataclass


@dataclass(frozen=True)
class System:
    """One way to train, with every seed.

    Args:
        name: of its runs, below `runs/`; what stands before the slash is its table.
        recipe: that comes with atrkit.
        overrides: `--set` of each.
        against: the system that it is compared with, seed by seed; None: it is only shown.
        claim: what its paper reports of that difference: "better", "worse" or "" where it says nothing.
        needs: a system whose first seed must be finished first.
        scalings: of caption columns.
    """

    name: str
    recipe: str
    overrides: tuple[str, ...] = ()
    against: str | None = None
    claim: str = ""
    needs: str | None = None
    scalings: str = "none"


def _pooling(audio: str, text: str) -> tuple[str, ...]:
    return (f"model.audio.pooling={{{audio}}}", f"model.text.pooling={{{text}}}")


_LSTM_MEAN = "name: lstm, hidden_dim: 256, output: mean"
_MAX_MARGIN = ("loss={name: max_margin, margin: 0.2}",)
_CAPTIONER = "captioner/transformer"
_CAPTIONS = f"auxiliary_captions.captions_from=study/{_CAPTIONER}/seed-1"
_CLIP_SENTENCE = ("model.frame_word_weight=0", "model.segment_phrase_weight=0")


def _auxiliary(*, interaction: bool, matching: bool) -> tuple[str, ...]:
    uses = (("augmentation", True), ("interaction", interaction), ("matching", matching))
    return (*_CLIP_SENTENCE, _CAPTIONS, *(f"auxiliary_captions.{use}={str(on).lower()}" for use, on in uses))


SYSTEMS = (
    # paper 004: the score of a captioner; first, because auxiliary captions need seed 1
    System(_CAPTIONER, "synthetic/captioner", scalings="none,minmax"),
    # paper 003, table 2
    System("pooling/mean", "synthetic/retrieval", _pooling("name: mean", "name: mean")),
    System("pooling/max", "synthetic/retrieval", _pooling("name: max", "name: max"), "pooling/mean"),
    System("pooling/lstm_mean", "synthetic/retrieval", _pooling(_LSTM_MEAN, _LSTM_MEAN), "pooling/mean", "worse"),
    System("pooling/lstm_last", "synthetic/retrieval", (), "pooling/mean"),
    System(
        "pooling/netvlad",
        "synthetic/retrieval",
        _pooling("name: netvlad, clusters: 12", "name: netvlad, clusters: 20"),
        "pooling/mean",
        "better",
    ),
    System(
        "pooling/netrvlad",
        "synthetic/retrieval",
        _pooling("name: netrvlad, clusters: 12", "name: netrvlad, clusters: 20"),
        "pooling/mean",
        "better",
    ),
    # paper 001, section 2: NT-Xent against the max-margin loss of paper 003
    System("loss/lstm_last_max_margin", "synthetic/retrieval", _MAX_MARGIN, "pooling/lstm_last", "worse"),
    System(
        "loss/netrvlad_max_margin",
        "synthetic/retrieval",
        (*_MAX_MARGIN, *_pooling("name: netrvlad, clusters: 12", "name: netrvlad, clusters: 20")),
        "pooling/netrvlad",
        "worse",
    ),
    # paper 001, table 5, each step against the one before; this one early, because it has the captions written
    System(
        "auxiliary/augmentation",
        "synthetic/auxiliary_captions",
        _auxiliary(interaction=False, matching=False),
        "hci/clip_sentence",
        "better",
        _CAPTIONER,
    ),
    # paper 001, table 3
    System("hci/clip_sentence", "synthetic/hci", _CLIP_SENTENCE),
    System("hci/frame_word", "synthetic/hci", ("model.segment_phrase_weight=0",), "hci/clip_sentence", "better"),
    System("hci/segment_phrase", "synthetic/hci", ("model.frame_word_weight=0",), "hci/clip_sentence", "better"),
    System("hci/all", "synthetic/hci", (), "hci/clip_sentence", "better"),
    System(
        "auxiliary/interaction",
        "synthetic/auxiliary_captions",
        _auxiliary(interaction=True, matching=False),
        "auxiliary/augmentation",
        "better",
        "auxiliary/augmentation",
    ),
    System(
        "auxiliary/matching",
        "synthetic/auxiliary_captions",
        _auxiliary(interaction=True, matching=True),
        "auxiliary/interaction",
        "better",
        "auxiliary/augmentation",
    ),
    # paper 002, against the same sides, width, batches and epochs without it; two layers or rounds of it would
    # take as long as all the rest
    System(
        "co_attention/without",
        "synthetic/hci",
        (*_CLIP_SENTENCE, "model.dim=64", "training.epochs=12", "training.batch_size=32"),
    ),
    System("co_attention/single", "synthetic/co_attention", (), "co_attention/without", "better"),
)
