"""CLAP: its front end against the library's own, windows of 10 s, and folders that are refused."""

import json
import shutil
import time

import numpy as np
import pytest
import torch

from atrkit.encoders import load_encoder
from atrkit.encoders.base import Running
from atrkit.encoders.clap import ClapEncoder
from atrkit.encoders.clap_files import find_clap, front_end_of
from atrkit.errors import IntegrityError, MissingPrerequisiteError, NetworkError, UsageError

RATE = 48_000
TEN_SECONDS = 10 * RATE
AUDIO = {"depths": [1, 1, 1, 1], "num_attention_heads": [1, 2, 4, 8], "patch_embeds_hidden_size": 16}
TEXT = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}


def noise(samples: int, seed: int = 1) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


@pytest.fixture(scope="module")
def clap():
    """transformers' classes, imported once: it takes seconds."""
    from transformers.models.clap import configuration_clap, feature_extraction_clap, modeling_clap

    class Clap:
        config, model = configuration_clap.ClapConfig, modeling_clap.ClapModel
        extractor = feature_extraction_clap.ClapFeatureExtractor

    return Clap


@pytest.fixture(scope="module")
def model_of(clap):
    """A tiny `ClapModel` of random weights, with feature fusion or without: `model_of(enable_fusion=True)`."""
    models = {}

    def model(enable_fusion=False):
        if enable_fusion not in models:
            torch.manual_seed(5)
            config = clap.config(
                text_config={**TEXT, "intermediate_size": 64, "max_position_embeddings": 64},
                audio_config={**AUDIO, "hidden_size": 128, "num_classes": 10, "enable_fusion": enable_fusion},
                projection_dim=32,
            )
            models[enable_fusion] = clap.model(config).eval()
        return models[enable_fusion]

    return model


@pytest.fixture(scope="module")
def saved(model_of, clap, tmp_path_factory):
    """Folders as transformers saves them: `saved(truncation="fusion")`."""
    folders = {}

    def folder(truncation="rand_trunc"):
        if truncation not in folders:
            folders[truncation] = tmp_path_factory.mktemp(truncation)
            model_of(truncation == "fusion").save_pretrained(folders[truncation])
            clap.extractor(truncation=truncation, frequency_min=50).save_pretrained(folders[truncation])
        return folders[truncation]

    return folder


@pytest.fixture(scope="module")
def encoder(saved):
    return load_encoder("clap", saved())


@pytest.fixture
def folder(saved, tmp_path):
    """A copy to break."""
    return shutil.copytree(saved(), tmp_path / "clap")


@pytest.mark.parametrize("truncation", ["rand_trunc", "fusion"])
@pytest.mark.parametrize("samples", [TEN_SECONDS, 3 * RATE, 1000], ids=["10s", "3s", "short"])
def test_up_to_ten_seconds_it_is_transformers(saved, clap, model_of, truncation, samples):
    wave_N = noise(samples)
    extractor = clap.extractor.from_pretrained(saved(truncation))
    features = extractor(wave_N, sampling_rate=RATE, return_tensors="pt")["input_features"].float()
    model = model_of(truncation == "fusion")
    with torch.inference_mode():
        output = model.audio_model(features, is_longer=torch.zeros(1, 1, dtype=torch.bool))
        expected_D = torch.nn.functional.normalize(model.audio_projection(output.pooler_output), dim=-1)[0]
    encoder = load_encoder("clap", saved(truncation))
    np.testing.assert_allclose(encoder.mel(encoder._windows(wave_N))[0], features[0, 0], atol=2e-3)
    encoded = encoder.encode([wave_N])
    np.testing.assert_allclose(encoded.frames[0], output.last_hidden_state[0].mean(1).T, atol=2e-4)
    np.testing.assert_allclose(encoded.clip[0], expected_D, atol=1e-4)
    assert encoded.padded == [False] and encoded.logits is None


def test_a_long_clip_is_its_windows_weighted_by_their_seconds(encoder):
    wave_N = noise(2 * TEN_SECONDS + 150_000)
    parts = [wave_N[:TEN_SECONDS], wave_N[TEN_SECONDS : 2 * TEN_SECONDS], wave_N[2 * TEN_SECONDS :]]
    whole, alone = encoder.encode([wave_N]), encoder.encode(parts)
    expected_TF = np.concatenate([alone.frames[0], alone.frames[1], alone.frames[2][:10]])  # 3.125 s: 10 frames
    np.testing.assert_allclose(whole.frames[0], expected_TF, atol=1e-4)
    mean_D = np.average(alone.clip, axis=0, weights=[len(part_N) for part_N in parts])
    np.testing.assert_allclose(whole.clip[0], mean_D / np.linalg.norm(mean_D), atol=1e-5)
    assert np.linalg.norm(whole.clip[0]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("samples", "frames"),
    [(1, 32), (TEN_SECONDS, 32), (TEN_SECONDS + 7_499, 32), (TEN_SECONDS + 7_500, 33), (TEN_SECONDS + 15_001, 34)],
)
def test_frames_of_a_clip(encoder, samples, frames):
    assert encoder.encode([noise(samples)]).frames[0].shape == (frames, 128)


def test_a_rest_under_half_a_frame_costs_nothing_and_is_said_to_be_unheard(encoder, monkeypatch):
    """AudioCaps is full of clips of 10.02 s."""
    wave_N, seen, frames_of = noise(TEN_SECONDS + 960), [], encoder._frames_of
    monkeypatch.setattr(encoder, "_frames_of", lambda windows: seen.extend(windows) or frames_of(windows))
    encoded = encoder.encode([wave_N])
    assert len(seen) == 1
    np.testing.assert_array_equal(encoded.clip, encoder.encode([wave_N[:TEN_SECONDS]]).clip)
    unheard = [encoder.unheard_samples(n) for n in (1, TEN_SECONDS, len(wave_N), TEN_SECONDS + 7_500)]
    assert unheard == [0, 0, 960, 0] and "a rest under 0.15625 s is left out" in encoder.settings["long_audio"]


def test_no_chance_is_involved(encoder):
    wave_N = noise(TEN_SECONDS + RATE)
    first, second = encoder.encode([wave_N]), encoder.encode([wave_N])
    np.testing.assert_array_equal(first.clip, second.clip)


def test_it_says_what_it_is(encoder, saved):
    assert (encoder.frame_dim, encoder.clip_dim, encoder.frame_period_s) == (128, 32, 0.3125)
    assert encoder.checkpoint_path == saved() and encoder.checkpoint_note is None
    assert "64 slaney mels 50-14000 Hz" in encoder.settings["front_end"]
    assert "64 htk mels without norm 50-14000 Hz" in load_encoder("clap", saved("fusion")).settings["front_end"]


# --- files --------------------------------------------------------------------------------------------------------


def change(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "model.safetensors"])
def test_the_hash_is_that_of_all_files_that_matter(folder, name):
    before = find_clap(folder).sha256
    (folder / "README.md").write_text("of no importance")
    assert find_clap(folder).sha256 == before
    with (folder / name).open("ab") as file:
        file.write(b"\n")
    assert find_clap(folder).sha256 != before


def test_weights_in_a_pickle_of_tensors_are_the_same(folder, encoder, model_of):
    (folder / "model.safetensors").unlink()
    torch.save(model_of().state_dict(), folder / "pytorch_model.bin")
    wave_N = noise(RATE)
    np.testing.assert_array_equal(load_encoder("clap", folder).encode([wave_N]).clip, encoder.encode([wave_N]).clip)


def test_settings_in_the_file_of_transformers_5_are_read(folder):
    path = folder / "preprocessor_config.json"
    (folder / "processor_config.json").write_text(json.dumps({"feature_extractor": json.loads(path.read_text())}))
    path.unlink()
    assert front_end_of(find_clap(folder)).lowest_hz == 50


def test_without_settings_of_the_front_end_what_is_assumed_is_said(folder):
    (folder / "preprocessor_config.json").unlink()
    note = load_encoder("clap", folder).checkpoint_note
    assert "no preprocessor_config.json" in note and "64 slaney mels 0-14000 Hz" in note and "is assumed" in note


def only_text_weights(folder, model):
    torch.save({key: value for key, value in model.state_dict().items() if "text" in key}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def cut_weights(folder, _):
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])


REFUSALS = {
    "another hop": (
        lambda folder, _: change(folder / "preprocessor_config.json", hop_length=320),
        (UsageError, "hop_length 320; only 480 is supported"),
    ),
    "another padding": (
        lambda folder, _: change(folder / "preprocessor_config.json", padding="pad"),
        (UsageError, "padding 'pad'"),
    ),
    "another truncation": (
        lambda folder, _: change(folder / "preprocessor_config.json", truncation="none"),
        (UsageError, "truncation 'none'"),
    ),
    "settings that are no JSON": (
        lambda folder, _: (folder / "preprocessor_config.json").write_text("{"),
        (IntegrityError, r"preprocessor_config\.json cannot be read as JSON"),
    ),
    "no configuration": (
        lambda folder, _: (folder / "config.json").unlink(),
        (MissingPrerequisiteError, r"holds no ClapModel: config\.json is missing"),
    ),
    "another model": (
        lambda folder, _: change(folder / "config.json", model_type="bert"),
        (MissingPrerequisiteError, "a model of type 'bert'"),
    ),
    "a configuration of no network": (
        lambda folder, _: change(folder / "config.json", audio_config={"depths": "many"}),
        (UsageError, r"its config\.json describes no CLAP network"),
    ),
    "another length of window": (
        lambda folder, _: change(folder / "config.json", audio_config={**AUDIO, "hidden_size": 128, "spec_size": 512}),
        (UsageError, "only 32 of 64 are supported"),
    ),
    "another width": (
        lambda folder, _: change(folder / "config.json", audio_config={**AUDIO, "hidden_size": 128, "mlp_ratio": 2.0}),
        (IntegrityError, "weights of another network"),
    ),
    "no weights": (
        lambda folder, _: (folder / "model.safetensors").unlink(),
        (MissingPrerequisiteError, r"model\.safetensors or pytorch_model\.bin is missing"),
    ),
    "weights of the text side alone": (only_text_weights, (IntegrityError, "entries are missing")),
    "weights that are cut off": (cut_weights, (IntegrityError, "no readable safetensors file")),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_folder_that_cannot_be_used_is_refused_in_one_line(folder, model_of, case):
    spoil, (kind, message) = REFUSALS[case]
    spoil(folder, model_of())
    with pytest.raises(kind, match=message) as caught:
        load_encoder("clap", folder)
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)


def test_it_has_no_weights_of_its_own():
    with pytest.raises(UsageError, match="a folder of a transformers ClapModel, or a hub id as laion/clap-htsat-unfus"):
        load_encoder("clap")


@pytest.mark.parametrize("source", ["./nowhere", "/no/where", "a/b/c", "~/nowhere", "nowhere"])
def test_a_folder_that_is_not_there(source):
    with pytest.raises(MissingPrerequisiteError, match=f"there is no folder {source}"):
        load_encoder("clap", source)


def test_a_hub_id_without_a_network_says_at_once_what_is_needed(tmp_path, monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    started = time.monotonic()
    with pytest.raises(NetworkError, match="check the name, go online, or give a folder") as caught:
        load_encoder("clap", "laion/clap-htsat-unfused")
    assert time.monotonic() - started < 2 and "\n" not in str(caught.value)


class Hub:
    """In the place of the hub: notes what is asked of it, and gives a folder whose name is a commit."""

    def __init__(self, cache, saved):
        self.asked, self.snapshot, self.saved = [], cache / "models--laion--clap" / "snapshots" / "0a1b2c", saved

    def download(self, hub_id, allow_patterns):
        self.asked.append((hub_id, allow_patterns))
        shutil.copytree(self.saved, self.snapshot, dirs_exist_ok=True)
        refs = self.snapshot.parents[1] / "refs"
        refs.mkdir(exist_ok=True)
        (refs / "main").write_text(self.snapshot.name)
        return str(self.snapshot)


def test_a_download_is_told_before_it_begins_and_its_commit_always(saved, tmp_path, monkeypatch):
    import huggingface_hub.file_download

    hub, told = Hub(tmp_path, saved()), []
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub.download)
    fetching = "fetching laion/clap from the Hugging Face hub into its cache (hundreds of MB)"
    encoder = ClapEncoder("laion/clap", Running(), on_remark=lambda line: told.append((line, len(hub.asked))))
    assert told == [(fetching, 0), ("laion/clap: commit 0a1b2c", 1)]
    assert encoder.checkpoint_path == hub.snapshot
    find_clap("laion/clap", lambda line: told.append(line))
    assert told[2:] == ["laion/clap: commit 0a1b2c"]
    find_clap("laion/clap")
    find_clap(saved(), told.append)
    assert len(told) == 3  # nothing is said of folders, nor to who does not ask
