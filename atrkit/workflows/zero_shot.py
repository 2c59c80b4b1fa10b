"""`atrkit eval --model`: what a CLAP model retrieves that was never trained here."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atrkit import __version__
from atrkit.datasets.manifest import Dataset
from atrkit.encoders.clap_files import ClapFiles, find_clap, read_text_weights
from atrkit.errors import UsageError
from atrkit.files import single_writer, write_json_atomic
from atrkit.recipe.schema import ColumnScaling
from atrkit.score_matrix import ScoreMatrix
from atrkit.scoring.cosine import cosine_scores, cosines_of_pairs
from atrkit.store.scores import SCORES_NAME, load_stored_scores, save_scores
from atrkit.workflows.captioned import CaptionedClips, captioned_clips
from atrkit.workflows.embeddings import embeddings_for
from atrkit.workflows.evaluate import EvaluateOptions
from atrkit.workflows.evaluate_perturbations import RESULTS_NAME as PERTURBATION_RESULTS_NAME
from atrkit.workflows.evaluate_perturbations import SEED
from atrkit.workflows.evaluate_recall import recall_figures, twin_order_of
from atrkit.workflows.first_stage import AS_THE_RECIPE_SAYS
from atrkit.workflows.judgements import judgements_for
from atrkit.workflows.paired_scores import COSINE_TOLERANCE
from atrkit.workflows.perturbation import PERTURBED_CAPTIONS_NAME, perturbation_result
from atrkit.workflows.retrieval_figures import FigureOptions
from atrkit.workflows.score_file import Scores, holds_scores, results_beside
from atrkit.workflows.score_models import scoring_device
from atrkit.workflows.session import Session
from atrkit.workflows.trained_run import choose_test_split
from atrkit.workflows.workspace import FINISHED_NAME

if TYPE_CHECKING:
    from atrkit.models.clap_text import ClapTextEncoder

FOLDER = "zero_shot"  # below runs/


@dataclass(frozen=True, eq=False)
class ZeroShot:
    """A CLAP model and the split it is evaluated on.

    Args:
        source: folder or hub id, as the user named it.
        files: of the model.
        text: its text side.
        dataset: and split: what it is evaluated on.
        folder: where what comes of it is written.
        clips: of the split, with the embeddings of the model's audio side.
    """

    source: str
    files: ClapFiles
    text: "ClapTextEncoder"
    dataset: Dataset
    split: str
    folder: Path
    clips: CaptionedClips

    @property
    def name(self) -> str:
        """How results call it: the folder below runs/."""
        return f"{FOLDER}/{self.folder.parent.name}"

    @property
    def about(self) -> dict[str, Any]:
        """How results name it."""
        return {"run": self.name, "model": self.source, "dataset": self.dataset.name, "split": self.split}


def evaluate_zero_shot(session: Session, source: str, options: EvaluateOptions) -> list[dict[str, Any]]:
    """Evaluate a ClapModel as it is: cosines of its audio and text embeddings.

    Everything is written to runs/zero_shot/MODEL/DATASET-SPLIT/, where MODEL is the model's name and the beginning of
    its sha256: another model, or another state of the same one, has another folder.

    Args:
        session: where to speak.
        source: folder of a ClapModel that transformers saved, or its hub id.
        options: without a run. No dataset is the one made last, no split the one that is called like a test split, or
            the only one; no scaling is none. What needs a trained run is refused.

    Returns:
        JSON objects as of `evaluate_run`, with "model" besides; "clips_trained_on" is null, for nobody knows it.

    Raises:
        UsageError: an option that is of trained runs, or no such split.
        MissingPrerequisiteError: no such folder, no ClapModel or tokenizer in it, no dataset, or missing embeddings.
        NetworkError: the hub id is not in the cache, and the hub cannot be asked.
        IntegrityError: the model is damaged, or the dataset's clap embeddings are another model's.
        DivergedError: an embedding is not finite.
    """
    from atrkit.models.clap_text import ClapTextEncoder

    _refuse_what_needs_a_run(options)
    refuse_a_run(session, source)
    files = find_clap(source, session.say, with_tokenizer=True)
    dataset = session.workspace.load_dataset(options.dataset)
    if options.dataset is None:
        session.say(f"dataset: {dataset.name} (the one made last)")
    split = choose_test_split(session, dataset, options.split)
    # before the audio is encoded, which takes long
    text = ClapTextEncoder(files.config, read_text_weights(files.weights), files.folder)
    embeddings = embeddings_for(session, dataset, "clap", checkpoint=source, may_extract=options.may_extract)
    folder = session.workspace.root / "runs" / FOLDER / _name_of(source, files) / f"{dataset.name}-{split}"
    clips = captioned_clips(session, dataset, split, embeddings)
    evaluated = ZeroShot(source, files, text.to(scoring_device()), dataset, split, folder, clips)
    session.say(f"results: {folder}")
    session.say("what this model was trained on is not known here: it may have seen these clips")
    results: list[dict[str, Any]] = []
    for metric in options.metrics:
        if metric == "recall":
            results += _recall(session, evaluated, options.scalings or ("none",), options.figures)
        else:
            results.append(_perturbation(session, evaluated))
    return results


def refuse_a_run(session: Session, source: str) -> None:
    """See that what is to be a CLAP model is not a run, or nothing.

    Raises:
        UsageError: it is.
    """
    if not source.strip():
        raise UsageError("--model names nothing: give a folder of a transformers ClapModel, or a hub id")
    for folder in (
        Path(source).expanduser(),
        session.workspace.root / source,
        session.workspace.root / "runs" / source,
    ):
        if (folder / FINISHED_NAME).is_file():
            raise UsageError(f"--model {source}: that is a run of atrkit, which --run takes")


def _refuse_what_needs_a_run(options: EvaluateOptions) -> None:
    of_runs = {
        "--run": options.run is not None,
        "--precision": options.precision is not None,
        "--calib-clips": options.calibration_clips is not None,
        "--rerank": options.rerank != AS_THE_RECIPE_SAYS,
        "--beam-size": bool(options.decoding),
        "--metric caption": "caption" in options.metrics,
        "--scaling minmax-calib and pmi": bool({"minmax-calib", "pmi"} & set(options.scalings or ())),
    }
    for option, is_asked in of_runs.items():
        if is_asked:
            raise UsageError(f"{option}: needs a run that was trained here, and --model is a CLAP model as it is")


def _name_of(source: str, files: ClapFiles) -> str:
    folder = Path(source).expanduser()
    name = folder.resolve().name if folder.is_dir() else source.replace("/", "--")
    plain = re.sub(r"[^\w.-]", "_", name)
    return f"{plain}-{files.sha256[:8]}"


def _recall(
    session: Session, evaluated: ZeroShot, scalings: tuple[ColumnScaling, ...], options: FigureOptions
) -> list[dict[str, Any]]:
    path = evaluated.folder / SCORES_NAME
    judgements = judgements_for(session, options.qrels, evaluated.dataset, evaluated.split)
    with single_writer(path):
        matrix, about = _matrix(session, evaluated), _about(evaluated)
        if not holds_scores(path, matrix, about, None):
            for of_others in results_beside(path):
                of_others.unlink(missing_ok=True)
        save_scores(path, matrix, about)
        stored = load_stored_scores(path)  # whoever reads the file again finds the same
        scores = Scores(path, stored.matrix, None, stored.about)
        results = [
            {
                "metric": "recall",
                **evaluated.about,
                "scoring": "cosine",
                "precision": "fp32",
                "column_scaling": scaling,
                "pool_id": scores.matrix.pool_id,
                **recall_figures(scores, scaling, evaluated.clips.all_captions, options, judgements),
                "twin_order": twin_order_of(evaluated.clips, scores.matrix),
                "target": None,
                "clips_trained_on": None,
            }
            for scaling in scalings
        ]
        write_json_atomic(evaluated.folder / options.results_name, results[0] if len(results) == 1 else results)
    return results


def _matrix(session: Session, evaluated: ZeroShot) -> ScoreMatrix:
    clips, text = evaluated.clips, evaluated.text
    captions = [caption.text for clip in clips.clips for caption in clip.captions]
    if cut := text.count_cut(captions):
        session.say(f"{cut} captions are longer than {text.max_tokens} tokens: their ends are not read")
    with session.open_progress("captions", len(captions), "captions") as advance:
        done = 0

        def moved(now: int) -> None:
            nonlocal done
            advance(now - done)
            done = now

        text_emb_CD = text.embed(captions, ids=clips.caption_ids, on_progress=moved)
    scores_AC = cosine_scores(clips.embeddings.clip_emb_AD, text_emb_CD)
    return ScoreMatrix(scores_AC, clips.embeddings.clip_ids, clips.caption_ids, clips.clip_of_caption)


def _about(evaluated: ZeroShot) -> dict[str, Any]:
    """What the score file says of itself."""
    return {
        **evaluated.about,
        "scoring": "cosine",
        "provenance": {
            "model_sha256": evaluated.files.sha256,
            "embeddings": evaluated.clips.embeddings.provenance,
            "captions": "as written",
            "precision": "fp32",
            "atrkit_version": __version__,
        },
    }


def _perturbation(session: Session, evaluated: ZeroShot) -> dict[str, Any]:
    """Paper 004's tests; captions are normalised in them, the original as the changed one."""
    clips, folder = evaluated.clips, evaluated.folder
    score = cosines_of_pairs(clips.embeddings.clip_emb_AD, evaluated.text.embed)
    with single_writer(folder / PERTURBATION_RESULTS_NAME):
        (folder / PERTURBATION_RESULTS_NAME).unlink(missing_ok=True)  # not beside captions that are others
        perturbed_csv = folder / PERTURBED_CAPTIONS_NAME
        result = {
            "metric": "perturbation",
            **evaluated.about,
            "scoring": "cosine",
            "precision": "fp32",
            "perturbation": perturbation_result(
                clips, score, seed=SEED, csv_path=perturbed_csv, tie_tolerance=COSINE_TOLERANCE
            ),
            "target": None,
            "clips_trained_on": None,
        }
        write_json_atomic(folder / PERTURBATION_RESULTS_NAME, result)
    session.say(f"perturbed captions: {perturbed_csv}")
    return result
