"""Captions of bare sound files: read, resampled and encoded exactly as the clips that the captioner learned from."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from atrkit.audio.read import AudioFacts, UnusableAudioError, inspect_audio
from atrkit.datasets.folder_files import list_folder, printable
from atrkit.datasets.manifest import Clip, Dataset, Problem
from atrkit.errors import IntegrityError, UsageError
from atrkit.processes import available_cores, result_of
from atrkit.workflows.caption_runs import chosen_decoding, open_captioner
from atrkit.workflows.encode_ahead import EncodedClip, encode_parts
from atrkit.workflows.encoder_as_trained import encoder_as_trained
from atrkit.workflows.extract_options import ExtractOptions
from atrkit.workflows.extract_parts import plan_parts
from atrkit.workflows.frozen_encoder import say_what_is_not_heard
from atrkit.workflows.session import Session
from atrkit.workflows.trained_run import TrainedRun

if TYPE_CHECKING:
    from atrkit.encoders import Encoder
    from atrkit.models.decoding import WrittenCaption

FramesOfClips = list[tuple[str, npt.NDArray[np.floating]]]


def captions_of_files(
    session: Session,
    trained: TrainedRun,
    paths: Sequence[Path],
    *,
    decoding: Mapping[str, Any],
    checkpoint: str | None = None,
) -> "tuple[dict[str, WrittenCaption], list[Problem]]":
    """A caption for each file.

    Args:
        session: where to speak.
        trained: a run of a captioner.
        paths: sound files of any name, format and rate, and folders of such.
        decoding: what is to be otherwise than in the run's recipe, as `write_captions` takes it.
        checkpoint: the encoder's weights; None: those that the run's embeddings were made with.

    Returns:
        Captions by path, in the order of the files; and what was skipped, repaired or padded.

    Raises:
        UsageError: a file is not there, a folder holds no sound file, or a number makes no sense.
        MissingPrerequisiteError: the weights of the encoder are not there.
        IntegrityError: the weights are not those of the run, or not one of the files is usable.
        DivergedError: probabilities of words are not finite; names the files.
    """
    from atrkit.models.decoding import write_captions
    from atrkit.models.ragged import Ragged

    arguments = chosen_decoding(trained.recipe, decoding)
    files, problems = find_recordings(session, paths)
    dataset = _as_dataset(session, files, problems)
    encoder, options = encoder_as_trained(session, trained, checkpoint)
    say_what_is_not_heard(session, dataset, encoder)
    captioner = open_captioner(trained, str(encoder.device))
    captions: dict[str, WrittenCaption] = {}
    for of_part in _encoded_parts(session, dataset, encoder, options, problems):
        names = [name for name, _ in of_part]
        frames = Ragged.from_sequences([frames_TF for _, frames_TF in of_part])
        written = write_captions(captioner, frames, **arguments, clip_ids=names, on_remark=session.say)
        captions.update(zip(names, written, strict=True))
    _refuse_if_none(captions, problems)
    return captions, problems


def find_recordings(session: Session, paths: Sequence[Path]) -> tuple[dict[str, Path], list[Problem]]:
    """The files that are meant, by the name they were given; folders are searched for files named like sound.

    Raises:
        UsageError: a file is not there, or a folder holds no sound file.
    """
    files: dict[str, Path] = {}
    problems: list[Problem] = []
    for path in dict.fromkeys(paths):
        if path.is_dir():
            listing = list_folder(path)
            found = {str(path / name): listing.files[name] for name in listing.sounds()}
            refused = {str(path / name): listing.refused[name] for name in listing.refused_sounds()}
            if not found and not refused:
                raise UsageError(f"{path} holds no sound file: name the files, or another folder")
            for count, what in ((listing.hidden, "hidden files"), (len(listing.datasets), "folders of datasets")):
                if count:
                    session.say(f"{count} {what} in {path}: left out")
            files.update(found)
            problems += [Problem(name, "skipped", reason) for name, reason in refused.items()]
        elif not path.exists():
            raise UsageError(f"{printable(str(path))} is not there: name sound files, or folders of them")
        elif printable(str(path)) != str(path):
            problems.append(Problem(printable(str(path)), "skipped", "its name is not UTF-8: rename it"))
        else:
            files[str(path)] = path
    return files, problems


def _as_dataset(session: Session, files: Mapping[str, Path], problems: list[Problem]) -> Dataset:
    """Read every file once from end to end, as an import does, and keep those that can be used."""
    clips = []
    with (
        session.open_progress("reading", len(files), "files") as advance,
        ThreadPoolExecutor(available_cores()) as pool,
    ):
        futures = {name: pool.submit(_inspect, path) for name, path in files.items()}
        try:
            for name, future in futures.items():
                facts = result_of(future)
                if isinstance(facts, str):
                    problems.append(Problem(name, "skipped", facts))
                else:
                    clips.append(_clip(name, files[name], facts))
                    if facts.repairs:
                        problems.append(Problem(name, "repaired", "; ".join(facts.repairs)))
                advance(1)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    _refuse_if_none(clips, problems)
    return Dataset("files", tuple(clips), Path())


def _inspect(path: Path) -> AudioFacts | str:
    try:
        return inspect_audio(path)
    except UnusableAudioError as error:
        return str(error)
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"


def _clip(name: str, path: Path, facts: AudioFacts) -> Clip:
    of_file = (facts.sha256, facts.sample_rate_hz, facts.frames, facts.channels)
    return Clip(name, str(path.absolute()), *of_file, split="files")


def _encoded_parts(
    session: Session, dataset: Dataset, encoder: "Encoder", options: ExtractOptions, problems: list[Problem]
) -> Iterator[FramesOfClips]:
    """Frames by file, some files at a time, rounded as they are in a store."""
    parts = [dataset.clips[part.start : part.stop] for part in plan_parts(dataset, encoder, options).parts]
    what = f"{encoder.name} and captions"
    with session.open_progress(what, len(dataset.clips), "files") as advance:
        encoded = encode_parts(dataset, enumerate(parts), encoder, on_clips=advance, on_remark=session.say)
        with closing(encoded):
            for number, results in encoded:
                frames: FramesOfClips = []
                for clip, result in zip(parts[number], results, strict=True):
                    if isinstance(result, UnusableAudioError):
                        problems.append(Problem(clip.id, "skipped", str(result)))
                    else:
                        frames += _as_stored(clip, result, encoder, options, problems)
                if frames:
                    yield frames


def _as_stored(
    clip: Clip, encoded: EncodedClip, encoder: "Encoder", options: ExtractOptions, problems: list[Problem]
) -> FramesOfClips:
    with np.errstate(over="ignore"):  # what does not fit into float16 becomes infinite and is refused below
        frames_TF = np.asarray(encoded.frames_TF).astype(options.frame_dtype)
    if not np.isfinite(frames_TF).all():
        problems.append(Problem(clip.id, "skipped", f"its frames are NaN or infinite in {options.frame_dtype}"))
        return []
    if encoded.is_padded:
        shortest_s = encoder.min_samples / encoder.sample_rate_hz
        reason = f"{clip.duration_s:.4f} s, shorter than the encoder's {shortest_s:.4f} s: zeros appended"
        problems.append(Problem(clip.id, "padded", reason))
    return [(clip.id, frames_TF)]


def _refuse_if_none(usable: Sequence[Any] | Mapping[str, Any], problems: Sequence[Problem]) -> None:
    if not usable:
        first = problems[0]
        raise IntegrityError(f"none of {len(problems)} files can be used; the first is {first.item!r}: {first.reason}")
