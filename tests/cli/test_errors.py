"""Mistakes and missing things: one line that says the way out, and a stable exit code."""

import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from atrkit.cli.app import app
from atrkit.errors import AtrkitError
from atrkit.network import TransferSettings, transfer


def run(*words, code):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, (result.exit_code, result.stderr, result.exception)
    assert "Traceback" not in result.stderr
    return result.stderr


def at_a_shell(*words, code):
    """The command as a user starts it: usage errors are put in one line around the parser."""
    child = subprocess.run([sys.executable, "-m", "atrkit", *words], capture_output=True, text=True, check=False)
    assert child.returncode == code, child.stderr
    return child.stderr


def test_an_unknown_dataset_lists_what_there_is():
    message = at_a_shell("download", "nonsense", code=2)
    assert message.count("\n") == 1
    assert "'nonsense'; there are: synthetic, clotho, audiocaps" in message and "atrkit import" in message


@pytest.mark.parametrize("command", [["extract", "--encoder", "logmel"], ["train", "recipe.yaml"], ["init"]])
def test_without_a_dataset_the_command_that_makes_one_is_named(tmp_path, command):
    assert "atrkit download synthetic" in run(*command, "--workspace", tmp_path, code=3)


def test_a_dataset_that_is_not_there_names_the_exact_command(tmp_path):
    recipe = ["synthetic/retrieval", "--workspace", tmp_path]
    assert "make it: atrkit download synthetic" in run("train", *recipe, code=3)
    message = run("train", *recipe, "--set", "data.dataset=attic", code=3)
    assert "make it: atrkit import DIR_OR_CSV --name attic" in message


def test_eval_without_a_run_says_how_to_make_one(tmp_path):
    assert "atrkit train recipe.yaml" in run("eval", "--metric", "recall", "--workspace", tmp_path, code=3)


def test_an_unknown_metric_lists_the_known_ones(tmp_path):
    assert "recall" in run("eval", "--metric", "beauty", "--workspace", tmp_path, code=2)


def test_weights_that_cannot_be_fetched_are_named_with_the_place_to_put_them(tmp_path, monkeypatch, server):
    run_download(tmp_path)
    server.stop()  # nobody listens there any more
    monkeypatch.setenv("ATRKIT_MIRROR", server.url)
    monkeypatch.setenv("ATRKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(transfer, "DEFAULT_SETTINGS", TransferSettings(first_delay_s=0))
    message = run("extract", "--encoder", "cnn14", "--workspace", tmp_path, code=6)
    assert "/record/3987831/files/Cnn14_mAP%3D0.431.pth" in message
    place = tmp_path / "cache" / "checkpoints" / "Cnn14_mAP=0.431.pth"
    assert f"--checkpoint FILE, or put it at {place} (md5 541141fa2ee191a88f24a3219fff024e)" in message


def test_an_unknown_encoder_lists_those_there_are(tmp_path):
    run_download(tmp_path)
    assert "convnext_tiny" in run("extract", "--encoder", "cnn15", "--workspace", tmp_path, code=2)


def run_download(workspace):
    words = ["download", "synthetic", "--clips", "30", "--workers", "1", "--workspace", str(workspace)]
    assert CliRunner().invoke(app, words).exit_code == 0


def test_a_recipe_with_three_mistakes_names_all_three(tmp_path):
    (tmp_path / "bad.yaml").write_text(
        "source: ours\n"
        "encoder: {name: logmell}\n"
        "model: {name: dual_encoder, text: {name: word_embeddings, dim: 128}, out_dim: -3}\n"
        "loss: {name: nt_xent}\n"
        "optimizer: {name: adamw, lrr: 1e-3}\n"
        "training: {epochs: 2}\n"
    )
    message = run("train", tmp_path / "bad.yaml", "--workspace", tmp_path, code=2)
    for words in ("logmell", "out_dim", "optimizer.lrr: unknown key; did you mean 'lr'?"):
        assert words in message


def test_other_embedding_settings_are_refused_naming_the_setting(tmp_path):
    run_download(tmp_path)
    extract = ["extract", "--encoder", "logmel", "--workspace", str(tmp_path)]
    assert CliRunner().invoke(app, extract).exit_code == 0
    message = run(*extract, "--pool-time", "0.64", code=5)
    assert "settings.pool_time_s is 0.32 there and 0.64 now" in message and "--overwrite" in message
    assert CliRunner().invoke(app, [*extract, "--pool-time", "0.64", "--overwrite"]).exit_code == 0


def test_audio_that_changed_under_the_embeddings_is_refused_by_name(tmp_path):
    run_download(tmp_path)
    extract = ["extract", "--encoder", "logmel", "--workspace", str(tmp_path)]
    assert CliRunner().invoke(app, extract).exit_code == 0
    changed = tmp_path / "data" / "synthetic" / "audio" / "dev" / "00003.wav"
    data = bytearray(changed.read_bytes())
    data[-2] ^= 1
    changed.write_bytes(data)
    for words in (extract, [*extract, "--overwrite"]):
        assert "00003.wav changed since dataset 'synthetic' was made" in run(*words, code=5)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (KeyboardInterrupt(), 130),
        (MemoryError(), 4),
        (OSError(28, "No space left on device", "x"), 4),
        (ValueError("a bug\nwith details"), 1),
        *[(kind("why"), kind.exit_code) for kind in AtrkitError.__subclasses__()],
    ],
)
def test_every_error_is_one_line_with_its_code(monkeypatch, tmp_path, error, code):
    from atrkit.workflows.download import synthetic

    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(synthetic, "download_synthetic", fail)
    message = run("download", "synthetic", "--workspace", tmp_path, code=code)
    assert message.startswith("atrkit: ") and message.count("\n") == 1


def test_debug_shows_the_traceback(monkeypatch, tmp_path):
    result = CliRunner().invoke(app, ["eval", "--metric", "beauty", "--debug", "--workspace", str(tmp_path)])
    assert "Traceback" in result.stderr and result.exit_code == 2


def test_help_is_fast():
    """Under half a second; the fastest of up to eight, so that a busy machine does not fail it."""
    seconds = []
    while len(seconds) < 8 and (not seconds or min(seconds) >= 0.5):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "atrkit", "--help"], check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.5, seconds


def test_help_imports_nothing_heavy():
    code = "import sys, atrkit.cli.app; print({'torch', 'transformers', 'librosa', 'h5py', 'numpy'} & set(sys.modules))"
    child = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert child.stdout.strip() == "set()"
