"""What a file is that holds no weights, in one line, whoever reads it."""

import re
import zipfile

import numpy as np
import pytest
import torch

from atrkit.encoders import load_encoder
from atrkit.encoders.checkpoint_pickles import read_torch_file
from atrkit.encoders.clap_files import read_audio_weights
from atrkit.encoders.wrong_files import kind_of_wrong_file
from atrkit.errors import IntegrityError

WEB_PAGE = "this is a web page (an error page of a download?)"


def archive(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("data.csv", "file_name,caption")


def safetensors(path):
    from safetensors.numpy import save_file

    save_file({"bias": np.zeros(3, np.float32)}, path)


def cut_torch_file(path):
    torch.save({"bias": torch.zeros(5000)}, path)
    path.write_bytes(path.read_bytes()[:9000])


CASES = {
    "empty": (lambda path: path.write_bytes(b""), "it is empty"),
    "a web page": (lambda path: path.write_text("<!DOCTYPE html>\n<title>404</title>"), WEB_PAGE),
    "an old web page": (lambda path: path.write_text("\ufeff\n <HTML><body>Sign in"), WEB_PAGE),
    "a web page in XML": (lambda path: path.write_text('<?xml version="1.0"?><html lang="en">'), WEB_PAGE),
    "safetensors": (safetensors, "this is a safetensors file; a torch file is needed"),
    "another archive": (archive, "this is a zip archive that holds no torch file"),
    "a cut file": (cut_torch_file, "its end is missing or damaged (a download that was cut off?)"),
    "a pointer": (
        lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"),
        "this is a pointer of git-lfs, not the file itself",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_another_kind_of_file_is_named(tmp_path, case):
    write, words = CASES[case]
    path = tmp_path / "weights.pth"
    write(path)
    with pytest.raises(IntegrityError, match=f"{path} cannot be read: {re.escape(words)}; use the published file$"):
        read_torch_file(path)


def test_a_web_page_in_the_place_of_an_encoders_weights(tmp_path):
    path = tmp_path / "cnn10.pth"
    path.write_text("<html><body>Rate limit exceeded")
    with pytest.raises(IntegrityError, match="this is a web page") as caught:
        load_encoder("cnn10", path)
    assert "\n" not in str(caught.value) and "run code" not in str(caught.value)


@pytest.mark.parametrize("case", ["empty", "a web page", "a pointer"])
def test_in_the_place_of_a_safetensors_file(tmp_path, case):
    write, words = CASES[case]
    path = tmp_path / "model.safetensors"
    write(path)
    with pytest.raises(IntegrityError, match=f"no readable safetensors file: {re.escape(words)}; fetch it again"):
        read_audio_weights(path)


def test_a_damaged_safetensors_file_is_not_told_to_be_a_torch_file(tmp_path):
    path = tmp_path / "model.safetensors"
    safetensors(path)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(IntegrityError, match="is no readable safetensors file; fetch it again"):
        read_audio_weights(path)


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
def test_nothing_is_said_of_torch_files_and_of_what_is_not_known(tmp_path, is_zip):
    torch.save({"bias": torch.zeros(3)}, tmp_path / "fine.pth", _use_new_zipfile_serialization=is_zip)
    assert kind_of_wrong_file(tmp_path / "fine.pth") is None
    (tmp_path / "noise").write_bytes(np.random.default_rng(0).bytes(3000))
    assert kind_of_wrong_file(tmp_path / "noise") is None
    assert kind_of_wrong_file(tmp_path / "missing") is None
