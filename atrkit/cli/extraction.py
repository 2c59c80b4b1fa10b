"""`atrkit extract`: frozen embeddings of a dataset."""

from enum import StrEnum
from typing import Annotated, Any, Literal

import typer

from atrkit.cli.precision import Precision
from atrkit.cli.session import Terminal, with_terminal


class FrameDtype(StrEnum):
    """How frames are kept on disk."""

    float16 = "float16"
    float32 = "float32"


class ClipOutput(StrEnum):
    """Which vector is kept for a whole clip."""

    embedding = "embedding"
    clip = "clip"


class LongAudio(StrEnum):
    """What is heard of clips that are longer than the network's ten seconds."""

    windows = "windows"
    first = "first"


_OF_NETWORK, _OF_MACHINE, _OF_STORE = "What is computed", "How it is computed", "What is kept"


@with_terminal
def extract(
    terminal: Terminal,
    encoder: Annotated[str, typer.Option(help="Name of the encoder; `atrkit info encoders` lists them.")],
    dataset: Annotated[str | None, typer.Option(help="Which dataset (default: the one made last).")] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Weights; clap: folder or hub id (default: as before, else the cache, else the official download).",
            rich_help_panel=_OF_NETWORK,
        ),
    ] = None,
    variant: Annotated[
        str | None, typer.Option(help="convnext_tiny: which of the published weights.", rich_help_panel=_OF_NETWORK)
    ] = None,
    clip_output: Annotated[
        ClipOutput | None,
        typer.Option(
            help="PANNs, ConvNeXt: a clip's vector after the last layer (embedding, the default), or max + mean of the "
            "frames before it (clip).",
            rich_help_panel=_OF_NETWORK,
        ),
    ] = None,
    pool_time_s: Annotated[
        float | None,
        typer.Option(
            "--pool-time",
            min=0.0,
            help="Average frames over so many seconds; 0: the network's own (default: 0; logmel 0.32).",
            rich_help_panel=_OF_NETWORK,
        ),
    ] = None,
    pca: Annotated[
        bool | None,
        typer.Option("--pca/--no-pca", help="vggish: the original's PCA and 8 bits.", rich_help_panel=_OF_NETWORK),
    ] = None,
    long_audio: Annotated[
        LongAudio | None,
        typer.Option(
            help="vggsound_resnet18: clips over 10 s in windows, or only the first.", rich_help_panel=_OF_NETWORK
        ),
    ] = None,
    sample_rate_hz: Annotated[
        int | None,
        typer.Option(
            "--sample-rate",
            min=1,
            help="waveform: samples per second (default: 32000; cnn14_16k is trained on 16000).",
            rich_help_panel=_OF_NETWORK,
        ),
    ] = None,
    precision: Annotated[
        Precision | None, typer.Option(help="Arithmetic of the network (default: fp32).", rich_help_panel=_OF_NETWORK)
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.", rich_help_panel=_OF_MACHINE)] = "auto",
    batch_size: Annotated[
        str,
        typer.Option(
            help="auto, or clips of ten seconds at once; halved when memory runs out.", rich_help_panel=_OF_MACHINE
        ),
    ] = "auto",
    compile_: Annotated[
        bool,
        typer.Option(
            "--compile", help="Let torch compile the network first (a minute; for GPUs).", rich_help_panel=_OF_MACHINE
        ),
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            min=0, help="Processes that decode ahead (0: threads; default: what suits).", rich_help_panel=_OF_MACHINE
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Make only the I-th of N shares of the parts.", rich_help_panel=_OF_MACHINE),
    ] = None,
    merge: Annotated[
        bool, typer.Option("--merge", help="Join the parts that shards made.", rich_help_panel=_OF_MACHINE)
    ] = False,
    dtype: Annotated[
        FrameDtype | None,
        typer.Option(
            help="How frames are kept on disk (default: float16; waveform float32).", rich_help_panel=_OF_STORE
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Make everything anew.", rich_help_panel=_OF_STORE)
    ] = False,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Any unusable clip is an error (exit code 5).", rich_help_panel=_OF_STORE),
    ] = False,
) -> None:
    """Compute frozen embeddings: into embeddings/DATASET/ENCODER.h5."""
    from atrkit.workflows.extract_options import ExtractOptions, parse_batch_size, parse_device, parse_shard

    said: dict[str, Any] = {
        "variant": variant,
        "clip_output": clip_output and clip_output.value,
        "pool_time_s": pool_time_s or None,
        "pca": pca,
        "long_audio": long_audio and long_audio.value,
        "sample_rate_hz": sample_rate_hz,
        "precision": precision and precision.value,
    }
    if merge:
        others = {**said, "checkpoint": checkpoint, "shard": shard, "dtype": dtype, "overwrite": overwrite or None}
        _refuse_beside_merge(others)
    options = ExtractOptions(
        encoder,
        checkpoint,
        {key: value for key, value in said.items() if value is not None} | _own_frames(pool_time_s),
        _default_dtype(encoder) if dtype is None else dtype.value,
        overwrite=overwrite,
        strict=strict,
        device=parse_device(device),
        batch_size=parse_batch_size(batch_size),
        compile=compile_,
        decoders=workers,
        shard=None if shard is None else parse_shard(shard),
    )
    session = terminal.session
    chosen = session.workspace.load_dataset(dataset)
    if dataset is None:
        session.say(f"dataset: {chosen.name} (the one made last)")
    if merge:
        _merge(terminal, chosen, options)
    elif options.shard is not None:
        _shard(terminal, chosen, options)
    else:
        _whole(terminal, chosen, options)


def _default_dtype(encoder: str) -> Literal["float16", "float32"]:
    return "float32" if encoder == "waveform" else "float16"


def _own_frames(pool_time_s: float | None) -> dict[str, None]:
    """`--pool-time 0`: no pooling, which is something else than not saying anything."""
    return {"pool_time_s": None} if pool_time_s == 0 else {}


def _refuse_beside_merge(others: dict[str, Any]) -> None:
    from atrkit.errors import UsageError

    said = [f"--{key.removesuffix('_s').replace('_', '-')}" for key, value in others.items() if value is not None]
    if said:
        raise UsageError(f"--merge joins parts as they are: leave {' and '.join(said)} out")


def _whole(terminal: Terminal, dataset: Any, options: Any) -> None:
    from atrkit.reports.extraction_summary import extraction_record, extraction_sentence
    from atrkit.workflows.extract import extract as run

    outcome = run(terminal.session, dataset, options)
    record = extraction_record(dataset.name, outcome.path, outcome.embeddings, was_there=outcome.was_there)
    terminal.show(extraction_sentence(record), record)
    terminal.finish(outcome.problems, outcome.problems_path)


def _shard(terminal: Terminal, dataset: Any, options: Any) -> None:
    from atrkit.reports.extraction_summary import shard_record, shard_sentence
    from atrkit.workflows.extract_shards import extract_shard

    record = shard_record(dataset.name, options.encoder, extract_shard(terminal.session, dataset, options))
    terminal.show(shard_sentence(record), record)


def _merge(terminal: Terminal, dataset: Any, options: Any) -> None:
    from atrkit.reports.extraction_summary import extraction_record, extraction_sentence
    from atrkit.workflows.extract_shards import merge_shards

    outcome = merge_shards(terminal.session, dataset, options.encoder, strict=options.strict)
    record = extraction_record(dataset.name, outcome.path, outcome.embeddings, was_there=outcome.was_there)
    terminal.show(extraction_sentence(record), record)
    terminal.finish(outcome.problems, outcome.problems_path)
