"""`atrkit doctor`: weights of the encoders, and models of the Hugging Face hub that recipes name."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from atrkit.encoders.cache import cache_folder
from atrkit.encoders.catalogue import ENCODERS, VGGISH_PCA, CheckpointSpec
from atrkit.workflows.doctor_check import Check

# every model of the hub that a recipe which comes with atrkit names
HUB_MODELS = ("laion/clap-htsat-unfused", "google-bert/bert-base-uncased", "FacebookAI/roberta-base")
_AT_FIRST_USE = "nothing to do, they are fetched when first used; by hand: "
_TRUE = ("1", "ON", "YES", "TRUE")


def encoder_checks() -> list[Check]:
    """Weights by encoder and variant, then models of the hub."""
    return [*_weights(), *_hub_models()]


def _weights() -> Iterator[Check]:
    for name, spec in ENCODERS.items():
        for variant, checkpoint in spec.checkpoints.items():
            yield _weights_file(f"{name}/{variant}" if len(spec.checkpoints) > 1 else name, checkpoint)
    yield _weights_file("vggish/pca", VGGISH_PCA)


def _weights_file(name: str, spec: CheckpointSpec) -> Check:
    path = cache_folder() / spec.file_name
    fetch = f"curl -fL --create-dirs -o {shlex.quote(str(path))} {shlex.quote(spec.url)}"
    check_name = f"weights {name}"
    if path.is_file():
        size = path.stat().st_size
        if spec.size_bytes is not None and size != spec.size_bytes:
            detail = f"{path} is {size:,} bytes long, the published file {spec.size_bytes:,}"
            return Check(check_name, "wrong", detail, fetch)
        return Check(check_name, "ok", str(path))
    if (elsewhere := _elsewhere(spec.file_name)) is not None:
        detail = f"not in the cache; {elsewhere} has the name"
        link = (
            f"mkdir -p {shlex.quote(str(path.parent))} && ln -s {shlex.quote(str(elsewhere))} {shlex.quote(str(path))}"
        )
        return Check(check_name, "missing", detail, link)
    size_mb = f"{spec.about_mb:g} MB" if spec.about_mb else "size not known"
    begun = path.with_name(f"{path.name}.part")
    if begun.is_file():
        size_mb += f", {begun.stat().st_size / 1e6:,.0f} MB are there"
    return Check(
        check_name,
        "missing",
        f"not at {path} ({size_mb})",
        fetch,
        brief=size_mb,
        run=f"{_AT_FIRST_USE}atrkit info encoders says whence and where to",
    )


def _elsewhere(file_name: str) -> Path | None:
    """Where the authors' own programs keep their weights."""
    torch_home = Path(os.environ.get("TORCH_HOME") or Path.home() / ".cache" / "torch")
    places = (Path.home() / "panns_data", torch_home / "hub" / "checkpoints", Path.home() / "Downloads")
    return next((place / file_name for place in places if (place / file_name).is_file()), None)


def _hub_models() -> Iterator[Check]:
    hub = _hub_cache()
    offline = [name for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE") if os.environ.get(name, "").upper() in _TRUE]
    for model in HUB_MODELS:
        folder = hub / f"models--{model.replace('/', '--')}" / "snapshots"
        name = f"hub {model}"
        if any((snapshot / "config.json").exists() for snapshot in folder.glob("*")):
            yield Check(name, "ok", str(folder.parent))
            continue
        download = f"hf download {model}"
        if offline:
            detail = f"not in {hub}, and {offline[0]} forbids to fetch it"
            unset = f"unset {' '.join(offline)} && {download}"
            yield Check(name, "missing", detail, unset, brief=f"{offline[0]} forbids to fetch it")
        else:
            yield Check(
                name, "missing", f"not in {hub}", download, brief="not there", run=f"{_AT_FIRST_USE}hf download MODEL"
            )


def _hub_cache() -> Path:
    """Where huggingface_hub keeps models; it takes a second to import."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface"
    home = Path(os.environ.get("HF_HOME") or home)
    named = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    return (Path(named) if named else home / "hub").expanduser()
