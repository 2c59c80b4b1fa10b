"""Published figures stand beside a run only as long as it is the run that the paper describes."""

from pathlib import Path

import pytest

from atrkit.recipe.overrides import parse_overrides
from atrkit.workflows.session import Session
from atrkit.workflows.train import TrainOptions, _moves_the_target, read_recipe
from atrkit.workflows.workspace import Workspace


def target_with(tmp_path: Path, *overrides: str) -> tuple[object, list[str]]:
    said: list[str] = []
    session = Session(Workspace(tmp_path), say=said.append, open_progress=None)
    recipe, _ = read_recipe(session, TrainOptions("cnext_trans/clotho", overrides))
    return recipe.target, [line for line in said if "published" in line]


@pytest.mark.parametrize("override", ["training.epochs=3", "encoder.checkpoint=convnext.pth", "data.val=null"])
def test_the_row_stays_when_it_is_still_the_papers_system_on_the_papers_data(tmp_path, override):
    overrides = [override] + (["training.keep_best=last"] if override == "data.val=null" else [])
    target, said = target_with(tmp_path, *overrides)
    assert target is not None and target.row == "CL CNext-trans" and said == []


@pytest.mark.parametrize(
    "override",
    ["data.dataset=mine", "data.test=val", "encoder={name: mn04}", "encoder.variant=audioset", "model.num_layers=2"],
)
def test_other_data_another_encoder_or_model_have_no_published_figures(tmp_path, override):
    target, said = target_with(tmp_path, override)
    assert target is None
    assert said == [f"{override.partition('=')[0]} changed: no published figures will stand beside the measured ones"]


@pytest.mark.parametrize(
    ("override", "stays"),
    [
        ("model.text.vectors=my_word2vec.bin", True),
        ("model.text.dim=50", False),
        ("encoders=[vggish]", False),
        ("auxiliary_captions.captions_from=another/run", True),
        ("auxiliary_captions.matching=false", False),
    ],
)
def test_files_that_a_user_brings_do_not_move_the_target_and_switches_do(override, stays):
    assert _moves_the_target(parse_overrides([override])[0][0]) is not stays
