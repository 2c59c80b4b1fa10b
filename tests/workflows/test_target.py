"""Published figures stand beside a run only as long as it is the run that the paper describes."""

from pathlib import Path

import pytest

from atrkit.recipe.overrides import parse_overrides
from atrkit.workflows.session import Session
from atrkit.workflows.target import moves_the_target
from atrkit.workflows.train import TrainOptions, read_recipe
from atrkit.workflows.workspace import Workspace


def target_with(tmp_path: Path, *overrides: str) -> tuple[object, list[str]]:
    said: list[str] = []
    session = Session(Workspace(tmp_path), say=said.append, open_progress=None)
    recipe, _ = read_recipe(session, TrainOptions("cnext_trans/clotho", overrides))
    return recipe.target, [line for line in said if "published" in line]


def test_the_row_stays_when_it_is_still_the_papers_system_on_the_papers_data(tmp_path):
    target, said = target_with(tmp_path, "encoder.checkpoint=convnext.pth", "seeds=[4,5]", "source=tried again")
    assert target is not None and target.row == "CL CNext-trans" and said == []


@pytest.mark.parametrize(
    "override",
    [
        *("data.dataset=mine", "data.test=val", "data.captions_augmented=paraphrases.csv", "data.caption_choice=all"),
        *("encoder={name: mn04}", "encoder.variant=audioset", "model.num_layers=2"),
        *("training.epochs=3", "optimizer.lr=1e-2", "loss.label_smoothing=0.0", "augment.mixup_alpha=0.1"),
        *("retrieval.column_scaling=none", "decoding.beam_size=1"),
    ],
)
def test_another_training_model_or_scoring_and_other_data_have_no_published_figures(tmp_path, override):
    target, said = target_with(tmp_path, override)
    assert target is None
    assert said == [f"{override.partition('=')[0]} changed: no published figures will stand beside the measured ones"]


def test_a_row_that_the_user_names_is_the_users(tmp_path):
    target, said = target_with(tmp_path, "target.row=mine")
    assert target is not None and target.row == "mine" and said == []


@pytest.mark.parametrize(
    ("override", "stays"),
    [
        ("model.text.vectors=my_word2vec.bin", True),
        ("model.text.dim=50", False),
        ("encoders=[vggish]", False),
        ("auxiliary_captions.captions_from=another/run", True),
        ("auxiliary_captions.matching=false", False),
        ("retrieval.rerank.run=another/run", True),
        ("retrieval.rerank.k=50", False),
    ],
)
def test_files_and_runs_that_a_user_brings_do_not_move_the_target_and_switches_do(override, stays):
    assert moves_the_target(parse_overrides([override])[0][0]) is not stays
