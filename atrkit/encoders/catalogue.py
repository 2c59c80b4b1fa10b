"""Every frozen encoder by name: what it hears, what it gives, and where its weights are published.

Facts only, so that `atrkit info encoders` and the recipes need not import torch.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from atrkit.errors import UsageError


@dataclass(frozen=True)
class CheckpointSpec:
    """A published weights file.

    Args:
        name: of the encoder.
        url: of the official release.
        file_name: its name there and in the cache.
        licence: under which it is published, and by whom.
        sha256: of its bytes, or the first digits of it where the publisher states no more; None when not known.
        md5: of its bytes, where the publisher states it.
        hash_source: who states the sha256 (the md5 is always the publisher's).
        size_bytes: its length, where it is known.
        about_mb: about how long it is, in MB, for people.
        nesting: where the state dict lies in the file; empty: the file is the state dict.
        note: what sets it apart from the other variants.
        option: the option of the command line that names another file; empty: there is none.
    """

    name: str
    url: str
    file_name: str
    licence: str
    sha256: str | None = None
    md5: str | None = None
    hash_source: str = ""
    size_bytes: int | None = None
    about_mb: float | None = None
    nesting: str = ""
    note: str = ""
    option: str = "--checkpoint"


@dataclass(frozen=True)
class EncoderSpec:
    """What is fixed for an encoder.

    Args:
        name: as in `load_encoder`.
        sample_rate_hz: the rate that waves must have, unless it is one of the settings.
        frame_period_s: time from one frame to the next before pooling over time.
        frame_dim: F, width of a frame.
        clip_dim: D, width of a clip embedding; None where the checkpoint decides.
        min_samples: shorter waves are padded with zeros; 1: none are.
        settings: the names of the settings that it takes, beside those every encoder takes (`COMMON_SETTINGS`).
        checkpoints: its published weights by variant; empty: it has none, or any folder of its kind.
        default_variant: the one that is taken when none is named.
        paper: which row of which paper it is for.
    """

    name: str
    sample_rate_hz: int
    frame_period_s: float
    frame_dim: int
    clip_dim: int | None
    min_samples: int
    paper: str
    settings: tuple[str, ...] = ()
    checkpoints: dict[str, CheckpointSpec] = field(default_factory=dict)
    default_variant: str = ""


# settings of how an encoder runs: of these only `precision` and `pool_time_s` are part of what is made
COMMON_SETTINGS = ("pool_time_s", "precision", "device", "batch_size", "compile")

# the `variant` in the settings of an encoder whose weights are none of the published ones
OWN_WEIGHTS = "own"

Precision = Literal["fp32", "fp16", "bf16"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "bf16")

# of the Zenodo record
_PANNS_LICENCE = "CC BY 4.0, Qiuqiang Kong et al."
# of github.com/topel/audioset-convnext-inf; what the Zenodo records state could not be looked up
_CONVNEXT_LICENCE = "MIT (its repository), Thomas Pellegrini et al."
# of github.com/harritaylor/torchvggish and of tensorflow/models, where the weights come from
_VGGISH_LICENCE = "Apache 2.0 (its repository), Google; converted by Harri Taylor"
# github.com/hche11/VGGSound: the code is MIT, the data set CC BY 4.0
_VGGSOUND_LICENCE = "not stated for the weights, Honglie Chen et al."

_PUBLISHER = "the publisher"
_THIRD_PARTIES = "third parties, each of its own download"


def _panns(name: str, file_name: str, **facts: str | float | None) -> CheckpointSpec:
    quoted = file_name.replace("=", "%3D")
    return CheckpointSpec(
        name=name,
        url=f"https://zenodo.org/record/3987831/files/{quoted}",
        file_name=file_name,
        licence=_PANNS_LICENCE,
        nesting="model",
        **facts,  # type: ignore[arg-type]
    )


def _convnext(record: int, file_name: str, md5: str, nesting: str, note: str) -> CheckpointSpec:
    return CheckpointSpec(
        name="convnext_tiny",
        url=f"https://zenodo.org/record/{record}/files/{file_name}",
        file_name=file_name,
        licence=_CONVNEXT_LICENCE,
        md5=md5,
        about_mb=118,
        nesting=nesting,
        note=note,
    )


_CNN14 = _panns(
    "cnn14",
    "Cnn14_mAP=0.431.pth",
    md5="541141fa2ee191a88f24a3219fff024e",
    sha256="0dc499e40e9761ef5ea061ffc77697697f277f6a960894903df3ada000e34b31",
    hash_source=_THIRD_PARTIES,
    size_bytes=327_428_481,
    about_mb=327,
)
_CNN14_16K = _panns(
    "cnn14_16k",
    "Cnn14_16k_mAP=0.438.pth",
    md5="362fc5ff18f1d6ad2f6d464b45893f2c",
    sha256="e2ee543a27919542c2ea03eabaa70b24dcd4e6c8e05621de6b67a94e4c5058e6",
    hash_source=_THIRD_PARTIES,
    size_bytes=358_668_570,
    about_mb=359,
)
_CNN10 = _panns(
    "cnn10", "Cnn10_mAP=0.380.pth", md5="bfb1f1f9968938fa8ef4012b8471f5f6", size_bytes=25_237_595, about_mb=25
)
_RESNET38 = _panns("resnet38", "ResNet38_mAP=0.434.pth", md5="bf12f36aaabac4e0855e22d3c3239c1b", about_mb=300)
_CONVNEXT = {
    "no_audiocaps": _convnext(
        8020843,
        "convnext_tiny_465mAP_BL_AC_70kit.pth",
        "0688ae503f5893be0b6b71cb92f8b428",
        "model",
        "trained without the clips of AudioCaps (paper 004)",
    ),
    "no_audiocaps_75k": _convnext(
        10987498,
        "convnext_tiny_465mAP_BL_AC_75kit.pth",
        "f6f57c87b7eb664a23ae8cad26eccaa0",
        "",
        "trained without the clips of AudioCaps, 75,000 steps",
    ),
    "audioset": _convnext(
        8020843,
        "convnext_tiny_471mAP.pth",
        "e069ecd1c7b880268331119521c549f2",
        "model",
        "trained on all of AudioSet, the clips of AudioCaps among them",
    ),
}
_VGGISH = CheckpointSpec(
    name="vggish",
    url="https://github.com/harritaylor/torchvggish/releases/download/v0.1/vggish-10086976.pth",
    file_name="vggish-10086976.pth",
    licence=_VGGISH_LICENCE,
    sha256="10086976",
    hash_source=f"{_PUBLISHER}, in the file's name",
    size_bytes=288_567_937,
    about_mb=289,
)
VGGISH_PCA = CheckpointSpec(
    name="vggish",
    url="https://github.com/harritaylor/torchvggish/releases/download/v0.1/vggish_pca_params-970ea276.pth",
    file_name="vggish_pca_params-970ea276.pth",
    licence=_VGGISH_LICENCE,
    sha256="970ea276",
    hash_source=f"{_PUBLISHER}, in the file's name",
    about_mb=0.18,
    option="",
)
_VGGSOUND = CheckpointSpec(
    name="vggsound_resnet18",
    # the authors' README writes http; nothing else proves the file, so it is asked for over https
    url="https://www.robots.ox.ac.uk/~vgg/data/vggsound/models/H.pth.tar",
    file_name="H.pth.tar",
    licence=_VGGSOUND_LICENCE,
    nesting="model_state_dict",
)
_MN04 = CheckpointSpec(
    name="mn04",
    url="https://github.com/fschmid56/EfficientAT/releases/download/v0.0.1/mn04_as_mAP_432.pt",
    file_name="mn04_as_mAP_432.pt",
    licence="MIT, Florian Schmid",
    sha256="899a8c6217063f6941793102a2780b3dd788ab11fce468d9cf5f0577c453321c",
    hash_source=_THIRD_PARTIES,
    size_bytes=4_066_513,
    about_mb=4.1,
)

_CLIP_OUTPUT = ("clip_output",)

ENCODERS: dict[str, EncoderSpec] = {
    spec.name: spec
    for spec in (
        EncoderSpec("logmel", 32000, 0.01, 64, 64, 513, "003: LMS"),
        EncoderSpec("mn04", 32000, 0.32, 384, 384, 514, "ours", checkpoints={"": _MN04}),
        EncoderSpec("cnn14", 32000, 0.32, 2048, 2048, 9920, "001, 003: CNN14", _CLIP_OUTPUT, {"": _CNN14}),
        EncoderSpec("cnn14_16k", 16000, 0.32, 2048, 2048, 4960, "001, 003: CNN14", _CLIP_OUTPUT, {"": _CNN14_16K}),
        EncoderSpec("cnn10", 32000, 0.16, 512, 512, 4800, "001: captioner", _CLIP_OUTPUT, {"": _CNN10}),
        EncoderSpec("resnet38", 32000, 0.32, 2048, 2048, 9920, "001: ResNet38", _CLIP_OUTPUT, {"": _RESNET38}),
        EncoderSpec(
            "convnext_tiny",
            32000,
            0.32,
            768,
            768,
            7360,
            "004: CNext",
            ("clip_output", "variant"),
            _CONVNEXT,
            "no_audiocaps",
        ),
        EncoderSpec("vggish", 16000, 0.96, 128, 128, 15600, "003: VGGish", ("pca",), {"": _VGGISH}),
        EncoderSpec("vggsound_resnet18", 16000, 0.3125, 512, 512, 1, "003: ResNet18", ("long_audio",), {"": _VGGSOUND}),
        EncoderSpec("clap", 48000, 0.3125, 768, None, 1, "002: CLAP"),
        # no encoder of its own: what networks are given that are fine-tuned
        EncoderSpec("waveform", 32000, 0.01, 321, 1, 1, "001: fine-tuning", ("sample_rate_hz",)),
    )
}


def require_known(name: str, settings: Iterable[str]) -> None:
    """See that there is such an encoder, and that it has such settings.

    Raises:
        UsageError: lists those there are.
    """
    if name not in ENCODERS:
        raise UsageError(f"unknown encoder {name!r}; there are: {', '.join(ENCODERS)}")
    known = (*ENCODERS[name].settings, *COMMON_SETTINGS)
    if unknown := sorted(set(settings) - set(known)):
        raise UsageError(f"encoder {name}: unknown setting {unknown[0]!r}; it has: {', '.join(known)}")
