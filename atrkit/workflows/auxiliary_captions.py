"""Auxiliary captions (paper 001, section 3.2): what a captioner run writes of the clips of a retrieval run."""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from atrkit.datasets.manifest import Dataset
from atrkit.errors import IntegrityError, MissingPrerequisiteError, UsageError
from atrkit.files import sha256_of_file
from atrkit.models.folder import CHECKSUMS_NAME
from atrkit.store.differences import first_difference
from atrkit.store.embeddings import Embeddings
from atrkit.workflows.caption_runs import open_captioner_run
from atrkit.workflows.generated_captions import digest_of_captions, generated_captions, made_with
from atrkit.workflows.memory import fits_in_memory
from atrkit.workflows.recipe_embeddings import AUXILIARY
from atrkit.workflows.session import Session
from atrkit.workflows.splits import Splits
from atrkit.workflows.trained_run import CAPTIONER_CLIPS, TrainedRun, open_run

_MOST_ALIKE_SHOWN = 3


def open_auxiliary_captioner(
    session: Session,
    dataset: Dataset,
    captions_from: str,
    *,
    same_as: dict[str, Any] | None = None,
    splits: Splits | None = None,
) -> TrainedRun:
    """The captioner run that a recipe names, checked before any long work.

    As in the paper it may have been trained on the very clips that the retrieval model trains on: its captions of those
    are better than of others. How many clips of each split it was trained on is said.

    Args:
        session: where to speak.
        dataset: whose clips will get captions.
        captions_from: folder or name of a finished captioner run.
        same_as: what was recorded of the captions that a trained model learned from; the captioner must be that one.
        splits: of a training. A captioner that was trained on clips of the test split is refused, for its captions
            would give answers away; so is one that was trained on clips that choose the epoch, and are not trained on.

    Raises:
        MissingPrerequisiteError: the captioner is not there.
        UsageError: the run is no captioner, or it was trained on clips of the test split, or of the validation split.
        IntegrityError: it is not the captioner of the training; says what differs, and the way out.
    """
    trained = _open(session, captions_from) if same_as is None else _open_again(session, captions_from, same_as)
    _say_heard(session, trained, dataset, splits)
    return trained


def captioner_input(session: Session, embeddings: Embeddings) -> dict[str, list[str]]:
    """For a run's inputs: the audio that the captioner was trained on, which is no test of who reads its captions."""
    record = embeddings.provenance.get(AUXILIARY)
    return {} if record is None else {CAPTIONER_CLIPS: sorted(open_run(session, record["run"]).known_audio)}


def with_auxiliary_captions(
    session: Session,
    dataset: Dataset,
    embeddings: Embeddings,
    trained: TrainedRun,
    *,
    same_as: dict[str, Any] | None = None,
    may_extract: bool = True,
) -> Embeddings:
    """Put a generated caption beside every clip; clips that the captioner says nothing of are left out, and counted.

    Captions are written once per dataset and captioner, and kept below the captioner's run. The captioner reads
    embeddings of its own encoder, which are made where they are missing.

    Args:
        session: where to speak.
        dataset: whose clips.
        embeddings: of the retrieval model's encoder, or encoders.
        trained: from `open_auxiliary_captioner`.
        same_as: what was recorded of the captions that a trained model learned from; those of the same clips must be
            the same.
        may_extract: make missing embeddings for the captioner.

    Returns:
        The embeddings of clips that have a caption, with the captions, and what they were made with in the provenance.

    Raises:
        MissingPrerequisiteError: embeddings are missing and may not be made, or no clip has a caption.
        IntegrityError: captions are not those of the training.
    """
    captions = generated_captions(session, trained, dataset, may_extract=may_extract).captions
    chosen = _with_caption(session, trained, dataset, embeddings, captions)
    pairs = [(clip_id, captions[clip_id]) for clip_id in chosen.clip_ids]
    record = {
        "run": trained.name if same_as is None else same_as["run"],  # the same model, wherever it lies by now
        **made_with(trained),
        "dataset": dataset.name,
        "clips_sha256": digest_of_captions(zip(chosen.clip_ids, chosen.audio_sha256, strict=True)),
        "captions_sha256": digest_of_captions(pairs),
    }
    if same_as is not None:
        are_same_clips = all(same_as.get(key) == record[key] for key in ("dataset", "clips_sha256"))
        if are_same_clips and same_as.get("captions_sha256") != record["captions_sha256"]:
            _refuse_another(trained, same_as, record)
    return replace(
        chosen,
        auxiliary_captions=tuple(caption for _, caption in pairs),
        provenance={**chosen.provenance, AUXILIARY: record},
    )


def _open(session: Session, captions_from: str) -> TrainedRun:
    if _folder_of(session, captions_from) is None:
        recipe = re.sub(r"/seed-\d+$", "", captions_from)
        raise MissingPrerequisiteError(
            f"auxiliary captions come from the captioner run {captions_from!r}, which is not there or not finished: "
            f"atrkit train {recipe}, or take another: --set auxiliary_captions.captions_from=RUN"
        )
    return open_captioner_run(session, captions_from)


def _open_again(session: Session, captions_from: str, same_as: dict[str, Any]) -> TrainedRun:
    """The captioner of the training, under whatever name it lies there by now.

    Raises:
        MissingPrerequisiteError: it is not there, nor another one under its name.
        IntegrityError: another one has its name.
    """
    workspace = session.workspace
    named = [_folder_of(session, each) for each in (same_as["run"], captions_from)]
    there = [folder for folder in named if folder is not None]
    for folder in dict.fromkeys([*there, *workspace.finished_runs()]):
        checksums = folder / CHECKSUMS_NAME
        if checksums.is_file() and sha256_of_file(checksums) == same_as["model_sha256"]:
            trained = TrainedRun(folder, workspace.run_name(folder))
            if trained.name != same_as["run"]:
                session.say(f"captioner {same_as['run']} of the training is found by its model: {trained.name}")
            break
    else:
        if not there:
            raise MissingPrerequisiteError(
                f"the model reads captions of the captioner run {same_as['run']!r}, which is not there any more: bring "
                f"its folder back, under whatever name, below {workspace.root / 'runs'}, where it is found by its "
                "model; or train this one again with another captioner"
            )
        trained = TrainedRun(there[0], workspace.run_name(there[0]))
    now = made_with(trained)
    _refuse_another(trained, {key: same_as.get(key) for key in now}, now)
    return trained


def _folder_of(session: Session, named: str) -> Path | None:
    try:
        return session.workspace.find_run(named)
    except (UsageError, MissingPrerequisiteError):
        return None


def _refuse_another(trained: TrainedRun, there: dict[str, Any], now: dict[str, Any]) -> None:
    difference = first_difference({**there, "run": None}, {**now, "run": None})  # a run may be moved
    if difference:
        raise IntegrityError(
            f"the model learned from other captions than run {trained.name} writes now: {difference}; "
            "train the model again with --overwrite, or bring the captioner's run back as it was, anywhere below runs/"
        )


def _say_heard(session: Session, trained: TrainedRun, dataset: Dataset, splits: Splits | None) -> None:
    """Say, or refuse, what the captioner was trained on: captions of such clips tell what people wrote of them."""
    known = trained.known_audio
    heard = Counter(clip.split for clip in dataset.clips if clip.sha256 in known)
    of = Counter(clip.split for clip in dataset.clips)
    if splits is not None and splits.test is not None and heard[splits.test]:
        raise UsageError(
            f"captioner {trained.name} was trained on {heard[splits.test]:,} of {of[splits.test]:,} clips of "
            f"{dataset.name}/{splits.test}, the test split: its captions would give the answers away; train one on "
            "other clips, or test on others: --set data.test=SPLIT"
        )
    if splits is not None and splits.val is not None:
        better_known = known - {clip.sha256 for clip in dataset.split(splits.train)}
        in_val = sum(clip.sha256 in better_known for clip in dataset.split(splits.val))
        if in_val:
            raise UsageError(
                f"captioner {trained.name} was trained on {in_val:,} of {of[splits.val]:,} clips of "
                f"{dataset.name}/{splits.val}, which choose the epoch: its captions of them are better than of "
                "the test split; take another captioner, --set auxiliary_captions.captions_from=RUN, or other clips, "
                "--set data.val=SPLIT, or the last epoch, --set training.keep_best=last"
            )
    if heard:
        places = ", ".join(
            f"{heard[split]:,} of {of[split]:,} clips of {split}" for split in dataset.splits if heard[split]
        )
        session.say(f"captions by {trained.name}, which was trained on {places}")


def _with_caption(
    session: Session, trained: TrainedRun, dataset: Dataset, embeddings: Embeddings, captions: dict[str, str]
) -> Embeddings:
    """The clips that have a caption of a word or more."""
    usable = [clip_id for clip_id in embeddings.clip_ids if captions.get(clip_id)]
    unheard = sum(clip_id not in captions for clip_id in embeddings.clip_ids)
    wordless = len(embeddings.clip_ids) - unheard - len(usable)
    for count, why in ((unheard, "have no embedding for it"), (wordless, "left it without a word")):
        if count:
            session.say(f"no caption by {trained.name}: {count} of {len(embeddings.clip_ids)} clips {why}: left out")
    if not usable:
        raise MissingPrerequisiteError(f"captioner {trained.name} wrote no caption of any clip of {dataset.name}")
    alike = Counter(captions[clip_id] for clip_id in usable)
    (most_alike, times), *_ = alike.most_common(1)
    session.say(
        f"{len(usable):,} generated captions, {len(alike):,} distinct"
        + (f"; {times:,} clips have {most_alike!r}" if times >= _MOST_ALIKE_SHOWN else "")
    )
    if len(usable) == len(embeddings.clip_ids):
        return embeddings
    # a split lies in one piece in the store, and is not copied, unless clips are left out of its middle
    scratch_folder = None if fits_in_memory(embeddings.frames_NF.nbytes) else session.workspace.root
    return embeddings.select(usable, scratch_folder=scratch_folder)
