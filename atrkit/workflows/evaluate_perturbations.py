"""`atrkit eval --metric perturbation`: paper 004's tests with changed captions, for any trained run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from atrkit.files import single_writer, write_json_atomic
from atrkit.text.perturb import perturbations_of
from atrkit.text.vocabulary import UNK_ID
from atrkit.workflows.evaluate import Evaluated, EvaluateOptions
from atrkit.workflows.paired_scores import COSINE_TOLERANCE, paired_scores
from atrkit.workflows.perturbation import PERTURBED_CAPTIONS_NAME, perturbation_result
from atrkit.workflows.score_models import is_captioner, scoring_of
from atrkit.workflows.session import Session
from atrkit.workflows.trained_run import clips_as_trained

RESULTS_NAME = "perturbation_results.json"
SEED = 0  # of the words that are put in: the same for every run, so that runs are asked the same


def evaluate_perturbations(session: Session, evaluated: Evaluated, options: EvaluateOptions) -> dict[str, Any]:
    """Change the captions of the split, and see whether each clip prefers its own; all of it is written down."""
    trained = evaluated.trained
    clips = clips_as_trained(session, trained, evaluated.dataset, evaluated.split, may_extract=options.may_extract)
    score = paired_scores(trained.recipe, trained.folder, clips, precision=options.precision)
    if is_captioner(trained.recipe):
        _say_unknown_words(session, trained.folder, clips.all_captions)
    with single_writer(evaluated.folder / RESULTS_NAME):
        (evaluated.folder / RESULTS_NAME).unlink(missing_ok=True)  # not beside captions that are others
        perturbed_csv = evaluated.folder / PERTURBED_CAPTIONS_NAME
        result = {
            "metric": "perturbation",
            **evaluated.about,
            "scoring": scoring_of(trained.recipe),
            "precision": options.precision or "fp32",
            "perturbation": perturbation_result(
                clips,
                score,
                seed=SEED,
                csv_path=perturbed_csv,
                tie_tolerance=0.0 if is_captioner(trained.recipe) else COSINE_TOLERANCE,
            ),
            "target": evaluated.target,
            **evaluated.trained_on(),
        }
        write_json_atomic(evaluated.folder / RESULTS_NAME, result)
    session.say(f"perturbed captions: {perturbed_csv}")
    return result


def _say_unknown_words(session: Session, folder: Path, captions: Sequence[str]) -> None:
    """A word that is put in and that the captioner never saw is `<unk>`, which loses for another reason."""
    from atrkit.models.captioner import Captioner

    vocabulary = Captioner.from_pretrained(folder).vocabulary
    perturbations, _ = perturbations_of(captions, seed=SEED)
    unknown = [vocabulary.encode(each.perturbed).count(UNK_ID) for each in perturbations]
    before = [vocabulary.encode(each.original).count(UNK_ID) for each in perturbations]
    worse = sum(after > own for after, own in zip(unknown, before, strict=True))
    if worse:
        session.say(f"in {worse} of {len(perturbations)} perturbed captions the word put in is <unk> to the captioner")
