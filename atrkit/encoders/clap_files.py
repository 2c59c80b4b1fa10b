"""A CLAP model on disk or on the Hugging Face hub: which files it is made of, and what they say."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from atrkit.encoders.weights import read_state_dict
from atrkit.encoders.wrong_files import kind_of_wrong_file
from atrkit.errors import IntegrityError, MissingPrerequisiteError, NetworkError, UsageError
from atrkit.files import sha256_of_file

CONFIG_NAME = "config.json"
PREPROCESSOR_NAMES = ("preprocessor_config.json", "processor_config.json")  # the second is transformers 5's
WEIGHTS_NAMES = ("model.safetensors", "pytorch_model.bin")
AUDIO_PREFIXES = ("audio_model.", "audio_projection.")
TEXT_PREFIXES = ("text_model.", "text_projection.")
VOCABULARY_NAMES = ("tokenizer.json", "vocab.json", "vocab.txt")
TOKENIZER_NAMES = (
    *VOCABULARY_NAMES,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
)

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")

# what `ClapEncoder` computes; a folder that wants another front end is refused
_SUPPORTED: dict[str, Any] = {
    "feature_size": 64,
    "sampling_rate": 48000,
    "hop_length": 480,
    "fft_window_size": 1024,
    "max_length_s": 10,
    "padding": "repeatpad",
    "top_db": None,
}


@dataclass(frozen=True)
class ClapFiles:
    """The files of one model that embeddings depend on.

    Args:
        folder: where they are.
        weights: model.safetensors, or pytorch_model.bin where there is none.
        config: content of config.json.
        preprocessor: settings of the front end; empty: none are stated.
        sha256: of the list of the files' sha256, one line `<sha256>  <name>` each, in order of their names.
    """

    folder: Path
    weights: Path
    config: dict[str, Any]
    preprocessor: dict[str, Any]
    sha256: str


@dataclass(frozen=True)
class ClapFrontEnd:
    """The mel bands a model was trained with.

    Args:
        is_fusion: HTK's triangles without a norm, as the models with feature fusion have; else Slaney's with his norm.
        lowest_hz: lower edge of the first triangle.
        highest_hz: upper edge of the last triangle.
        is_assumed: the model states none of it.
    """

    is_fusion: bool
    lowest_hz: float
    highest_hz: float
    is_assumed: bool


def find_clap(
    source: str | Path | None, on_remark: Callable[[str], None] | None = None, *, with_tokenizer: bool = False
) -> ClapFiles:
    """The files of a `ClapModel` that transformers saved.

    Args:
        source: a folder, or a hub id as laion/clap-htsat-unfused, which is downloaded where it is not in the cache.
        on_remark: told before a model is downloaded, and which commit of it is used.
        with_tokenizer: fetch the tokenizer too, and refuse a model without one.

    Raises:
        UsageError: no source.
        MissingPrerequisiteError: the folder is not there, or holds no such model.
        NetworkError: the hub id is not in the cache, and the hub cannot be asked.
        IntegrityError: a file is no JSON.
    """
    if source is None or not str(source):
        raise UsageError(
            "encoder clap has no weights of its own: give a folder of a transformers ClapModel, or a hub id as "
            "laion/clap-htsat-unfused, with --checkpoint"
        )
    folder, is_local = _find_folder(str(source), on_remark or _say_nothing, TOKENIZER_NAMES if with_tokenizer else ())
    weights = next((folder / name for name in WEIGHTS_NAMES if (folder / name).is_file()), None)
    lacking = _lacking(folder, with_tokenizer=with_tokenizer)
    if weights is None or lacking:
        if is_local:
            raise MissingPrerequisiteError(f"the folder {source} holds no ClapModel: {lacking} is missing")
        raise NetworkError(
            f"what is in the local cache of {str(source)!r} lacks {lacking}: go online, or give a folder"
        )
    config = _read_json(folder / CONFIG_NAME)
    if config.get("model_type") != "clap":
        raise MissingPrerequisiteError(f"{source} holds a model of type {config.get('model_type')!r}, not a ClapModel")
    preprocessor_path = next((folder / name for name in PREPROCESSOR_NAMES if (folder / name).is_file()), None)
    preprocessor = _read_json(preprocessor_path) if preprocessor_path is not None else {}
    used = [path for path in (folder / CONFIG_NAME, preprocessor_path, weights) if path is not None]
    return ClapFiles(
        folder=folder,
        weights=weights,
        config=config,
        preprocessor=preprocessor.get("feature_extractor", preprocessor),
        sha256=_sha256_of_files(used),
    )


def front_end_of(files: ClapFiles) -> ClapFrontEnd:
    """What the model's feature extractor does, where this encoder can do it.

    Raises:
        UsageError: it does something else.
    """
    stated = files.preprocessor
    for name, supported in _SUPPORTED.items():
        if stated.get(name, supported) != supported:
            raise UsageError(
                f"{files.folder}: its feature extractor has {name} {stated[name]!r}; only {supported!r} is supported"
            )
    truncation = stated.get("truncation", "fusion" if _has_fusion(files.config) else "rand_trunc")
    if truncation not in ("fusion", "rand_trunc"):
        raise UsageError(
            f"{files.folder}: its feature extractor has truncation {truncation!r}, and only 'fusion' and 'rand_trunc' "
            "are supported"
        )
    return ClapFrontEnd(
        is_fusion=truncation == "fusion",
        lowest_hz=float(stated.get("frequency_min", 0.0)),
        highest_hz=float(stated.get("frequency_max", 14000.0)),
        is_assumed=not stated,
    )


def read_audio_weights(path: Path) -> dict[str, Tensor]:
    """The entries of the audio tower and its projection; the text tower is left on the disk where that is possible.

    Raises:
        IntegrityError: the file is damaged, or holds more than tensors. Nothing in it is run.
    """
    return _read_weights(path, AUDIO_PREFIXES)


def read_text_weights(path: Path) -> dict[str, Tensor]:
    """The entries of the text tower and its projection; for the rest as `read_audio_weights`."""
    return _read_weights(path, TEXT_PREFIXES)


def _read_weights(path: Path, prefixes: tuple[str, ...]) -> dict[str, Tensor]:
    if path.suffix != ".safetensors":
        return {key: value for key, value in read_state_dict(path).items() if key.startswith(prefixes)}
    from safetensors import safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys() if key.startswith(prefixes)}  # noqa: SIM118
    except Exception as error:  # a damaged file can make the reader fail in any way
        kind = kind_of_wrong_file(path, "safetensors")
        reason = f": {kind}" if kind else ""
        raise IntegrityError(f"{path} is no readable safetensors file{reason}; fetch it again") from error


def _say_nothing(_: str) -> None:
    """For who did not ask to be told."""


def _lacking(folder: Path, *, with_tokenizer: bool) -> str | None:
    """The files of a model of which one must be there and none is."""
    needed = [(CONFIG_NAME,), WEIGHTS_NAMES, *([VOCABULARY_NAMES] if with_tokenizer else [])]
    missing = [names for names in needed if not any((folder / name).is_file() for name in names)]
    return " or ".join(missing[0]) if missing else None


def _find_folder(source: str, say: Callable[[str], None], more: tuple[str, ...]) -> tuple[Path, bool]:
    """The folder, and whether it was given as one."""
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder, True
    if folder.exists() or not _HUB_ID.fullmatch(source) or source.startswith("."):
        raise MissingPrerequisiteError(
            f"there is no folder {source}: give a folder of a transformers ClapModel, or a hub id as "
            "laion/clap-htsat-unfused"
        )
    names = [CONFIG_NAME, *PREPROCESSOR_NAMES, *more]
    if not _is_in_cache(source):
        say(f"fetching {source} from the Hugging Face hub into its cache (hundreds of MB)")
    snapshot = _download(source, [*names, WEIGHTS_NAMES[0]])
    if not (snapshot / WEIGHTS_NAMES[0]).is_file():
        snapshot = _download(source, [*names, WEIGHTS_NAMES[1]])
    say(f"{source}: commit {snapshot.name}")  # the hub's cache names the folder so
    return snapshot, False


def _is_in_cache(hub_id: str) -> bool:
    """Whether weights that were once the newest are there; newer ones are still fetched."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        return any(isinstance(try_to_load_from_cache(hub_id, name), str) for name in WEIGHTS_NAMES)
    except HFValidationError:  # `_download` says what is wrong with the name
        return False


def _download(hub_id: str, names: list[str]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    had_bars = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        return Path(snapshot_download(hub_id, allow_patterns=names))
    except (OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise NetworkError(
            f"the CLAP model {hub_id!r} is no folder, and as a hub id it is neither in the local cache nor to be had "
            f"({reason}): check the name, go online, or give a folder"
        ) from error
    finally:
        if had_bars:
            enable_progress_bars()


def _has_fusion(config: Mapping[str, Any]) -> bool:
    audio_config = config.get("audio_config")
    return isinstance(audio_config, dict) and bool(audio_config.get("enable_fusion"))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise IntegrityError(f"{path} cannot be read as JSON; fetch it again") from error
    if not isinstance(content, dict):
        raise IntegrityError(f"{path} holds no settings (a JSON object); fetch it again")
    return content


def _sha256_of_files(paths: list[Path]) -> str:
    lines = [f"{sha256_of_file(path)}  {path.name}\n" for path in sorted(paths, key=lambda path: path.name)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
