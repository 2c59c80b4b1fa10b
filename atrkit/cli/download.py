"""`atrkit download synthetic|clotho|audiocaps`: a dataset on disk, verified, with a manifest."""

import os
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from atrkit.cli.paraphrases import paraphrases
from atrkit.cli.session import Terminal, with_terminal
from atrkit.errors import EXIT_DONE_WITH_PROBLEMS

if TYPE_CHECKING:
    from atrkit.datasets.manifest import Dataset
    from atrkit.datasets.missing import MissingClip

WORKERS = os.cpu_count() or 1


class _DatasetGroup(TyperGroup):
    """Says what to do when the dataset is none of atrkit's."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        names = self.list_commands(ctx)
        if args and args[0] not in names and not args[0].startswith("-"):
            ctx.fail(
                f"no dataset is called {args[0]!r}; there are: {', '.join(names)} "
                "(your own recordings: atrkit import DIR_OR_CSV --name NAME)"
            )
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=_DatasetGroup,
    no_args_is_help=True,
    help="Get a dataset: into data/DATASET, verified, with a manifest.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


class ClothoVersion(StrEnum):
    """Published versions of Clotho."""

    v1 = "v1"
    v2 = "v2"
    v2_1 = "v2.1"


class AudioCapsVersion(StrEnum):
    """Published versions of AudioCaps."""

    v1 = "v1"
    v2 = "v2"


SubsetOption = Annotated[str | None, typer.Option("--subset", help="Which, separated by commas (default: all).")]
NameOption = Annotated[
    str | None, typer.Option("--name", help="Name of the dataset (another version needs another name).")
]
SampleRateOption = Annotated[
    int, typer.Option("--sample-rate", min=0, metavar="HZ", help="Rate of the FLAC copies; 0 makes none.")
]
KeepOption = Annotated[
    bool, typer.Option("--keep-original/--drop-original", help="What becomes of the audio as it was downloaded.")
]
WorkersOption = Annotated[int, typer.Option("--workers", min=1, help="Processes that decode and resample.")]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Anything missing, unusable or cut short is an error (exit code 5).")
]


@app.command()
@with_terminal
def synthetic(
    terminal: Terminal,
    clips: Annotated[int, typer.Option(min=30, help="Training clips; val and eval grow with them.")] = 1200,
    val_clips: Annotated[int | None, typer.Option(min=12, help="Clips of val (default: a tenth of --clips).")] = None,
    eval_clips: Annotated[int | None, typer.Option(min=12, help="Clips of eval (default: a fifth of --clips).")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed is another dataset.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes that render.")] = 2,
) -> None:
    """The embedded dataset: rendered on the spot, no network."""
    from atrkit.datasets.synthetic import sizes_for
    from atrkit.workflows.download.synthetic import download_synthetic

    sizes = sizes_for(clips, val=val_clips, evaluation=eval_clips)
    _show(terminal, download_synthetic(terminal.session, sizes, seed=seed, workers=workers))


@app.command()
@with_terminal
def clotho(
    terminal: Terminal,
    version: Annotated[ClothoVersion, typer.Option(help="Published version.")] = ClothoVersion.v2_1,
    subset: SubsetOption = None,
    source: Annotated[
        Path | None, typer.Option("--from", metavar="DIR", help="A copy you have: verified and used where it is.")
    ] = None,
    sample_rate_hz: SampleRateOption = 32_000,
    keep_original: KeepOption = True,
    keep_archives: Annotated[bool, typer.Option("--keep-archives", help="Keep the 7z files once unpacked.")] = False,
    relevance: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="DCASE 2025 file, or folder of the 2023 graded relevances (repeatable)."),
    ] = None,
    name: NameOption = None,
    workers: WorkersOption = WORKERS,
    strict: StrictOption = False,
) -> None:
    """Clotho, from Zenodo or from a copy that you have."""
    from atrkit.workflows.download.clotho import ClothoOptions, download_clotho
    from atrkit.workflows.download.steps import AudioOptions

    options = ClothoOptions(
        version=version.value,
        subsets=_names_in(subset),
        source=source,
        keep_archives=keep_archives,
        relevance=tuple(relevance or ()),
        name=name or "clotho",
        audio=AudioOptions(sample_rate_hz or None, keep_original, workers, strict),
    )
    _finish(terminal, download_clotho(terminal.session, options))


@app.command()
@with_terminal
def audiocaps(
    terminal: Terminal,
    version: Annotated[AudioCapsVersion, typer.Option(help="Published version.")] = AudioCapsVersion.v1,
    subset: SubsetOption = None,
    source: Annotated[
        Path | None, typer.Option("--from", metavar="DIR", help="A folder of WAV or FLAC files that you have.")
    ] = None,
    pool: Annotated[
        str | None,
        typer.Option(metavar="816|883|912|957|975|all|FILE", help="Test on a published pool, or on a list of ids."),
    ] = None,
    fetch: Annotated[
        bool | None,
        typer.Option(
            "--fetch/--no-fetch", help="Download what is not there, or take what is (default: unless --from is given)."
        ),
    ] = None,
    streams: Annotated[int, typer.Option(min=1, help="Clips that are downloaded at once.")] = 4,
    cookies: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Cookies for yt-dlp, when YouTube asks who you are.")
    ] = None,
    retry_missing: Annotated[
        bool, typer.Option("--retry-missing", help="Ask again for clips that were gone for good.")
    ] = False,
    sample_rate_hz: SampleRateOption = 32_000,
    keep_original: KeepOption = True,
    name: NameOption = None,
    workers: WorkersOption = WORKERS,
    strict: StrictOption = False,
) -> None:
    """AudioCaps, from YouTube (yt-dlp and ffmpeg) or from a folder that you have."""
    from atrkit.workflows.download.audiocaps import AudioCapsOptions, download_audiocaps
    from atrkit.workflows.download.steps import AudioOptions

    options = AudioCapsOptions(
        version=version.value,
        subsets=_names_in(subset),
        source=source,
        pool=pool,
        fetch=fetch,
        streams=streams,
        cookies=cookies,
        retry_missing=retry_missing,
        name=name or "audiocaps",
        audio=AudioOptions(sample_rate_hz or None, keep_original, workers, strict),
    )
    _finish(terminal, download_audiocaps(terminal.session, options))


app.command()(paraphrases)


def _names_in(text: str | None) -> Sequence[str] | None:
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def _show(terminal: Terminal, dataset: "Dataset", missing: "Sequence[MissingClip] | None" = None) -> None:
    from atrkit.reports.dataset_summary import dataset_record, dataset_table

    terminal.show(dataset_table(dataset, missing), dataset_record(dataset, missing))


def _finish(terminal: Terminal, dataset: "Dataset") -> None:
    """Show what is there, and leave with exit code 7 when something is missing or cut short."""
    from atrkit.datasets.manifest import PROBLEMS_NAME
    from atrkit.datasets.missing import MISSING_NAME, load_missing
    from atrkit.reports.counting import counted

    missing = load_missing(dataset.folder) or ()
    _show(terminal, dataset, missing)
    if missing:
        listed = counted(len(missing), "clip is missing", "clips are missing")
        terminal.say(f"{listed}, each with its reason, in {dataset.folder / MISSING_NAME}")
    terminal.finish(len(dataset.problems), dataset.folder / PROBLEMS_NAME)
    if missing:
        raise typer.Exit(EXIT_DONE_WITH_PROBLEMS)
