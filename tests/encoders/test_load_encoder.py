"""Encoders by name: what there is, what there is not yet, and settings that do not exist."""

import subprocess
import sys

import pytest

from atrkit.encoders import ENCODER_NAMES, load_encoder
from atrkit.errors import MissingPrerequisiteError, UsageError


def test_an_unknown_name_lists_those_there_are():
    with pytest.raises(UsageError, match="unknown encoder 'cnn15'; there are: logmel, mn04, cnn14, cnn14_16k, cnn10,"):
        load_encoder("cnn15")


@pytest.mark.parametrize("name", ENCODER_NAMES)
def test_unknown_settings_are_refused(name):
    with pytest.raises(UsageError, match="unknown setting 'pool_tims'; it has: "):
        load_encoder(name, pool_tims=0.1)


def test_logmel_has_no_weights():
    with pytest.raises(UsageError, match="no weights"):
        load_encoder("logmel", checkpoint="x.pt")


@pytest.mark.parametrize("pool_time_s", [0.0, -0.32, 0.005, 0.123])
def test_pooling_must_be_whole_frames(pool_time_s):
    with pytest.raises(UsageError, match=f"pool_time_s: {pool_time_s} s is no positive multiple"):
        load_encoder("logmel", pool_time_s=pool_time_s)


def test_a_checkpoint_that_is_not_there(tmp_path):
    with pytest.raises(MissingPrerequisiteError, match=r"nowhere\.pt cannot be read .* mn04_as_mAP_432\.pt"):
        load_encoder("mn04", checkpoint=tmp_path / "nowhere.pt")


def test_the_package_is_cheap_to_import():
    code = "import sys, atrkit.encoders; print([m for m in ('torch', 'librosa', 'torchaudio') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
