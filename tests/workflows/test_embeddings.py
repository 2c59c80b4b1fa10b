"""Which embeddings a trained model accepts, and how missing ones are made for it."""

import contextlib

import pytest

from atrkit.datasets import save_dataset
from atrkit.datasets.synthetic import SyntheticSizes, generate
from atrkit.errors import IntegrityError
from atrkit.workflows.embeddings import embeddings_for
from atrkit.workflows.session import Session
from atrkit.workflows.workspace import Workspace


@pytest.fixture
def surroundings(tmp_path):
    workspace = Workspace(tmp_path)
    dataset = generate(workspace.dataset_folder("synthetic"), SyntheticSizes(dev=12, val=12, eval=12), 3, 1)
    save_dataset(dataset)

    @contextlib.contextmanager
    def no_progress(description, total, unit):
        yield lambda items=1, audio_s=0.0, limit="": None

    return Session(workspace, say=lambda line: None, open_progress=no_progress), dataset


def test_missing_embeddings_are_made_with_the_settings_of_the_trained_model(surroundings):
    session, dataset = surroundings
    as_asked = embeddings_for(session, dataset, "logmel", settings={"pool_time_s": 0.64})
    session.workspace.embeddings_path("synthetic", "logmel").unlink()
    made = embeddings_for(session, dataset, "logmel", same_as=as_asked.provenance)
    assert made.provenance["settings"]["pool_time_s"] == 0.64


@pytest.mark.parametrize("key", ["frame_dtype", "atrkit_version", "checkpoint_sha256"])
def test_a_model_refuses_embeddings_that_differ_in_what_no_recipe_states(surroundings, key):
    session, dataset = surroundings
    there = embeddings_for(session, dataset, "logmel").provenance
    with pytest.raises(IntegrityError, match=f"{key} is {there[key]} there and another now"):
        embeddings_for(session, dataset, "logmel", same_as={**there, key: "another"})
