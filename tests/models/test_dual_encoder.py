import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from atrkit.errors import DivergedError, IntegrityError, MissingPrerequisiteError, NetworkError, UsageError
from atrkit.models import AudioTower, DualEncoder, Ragged, WordTower, seeded_initialisation
from atrkit.models.retriever import ClipBatch, Padded
from atrkit.text.vocabulary import UNK_ID, Vocabulary

CAPTIONS = ["a dog barks", "rain falls on a tin roof while a dog barks", "wind", "a bell rings then rain falls"]


def model_of(seed: int = 1, pooling: str = "lstm_last") -> DualEncoder:
    words = Vocabulary.from_captions(CAPTIONS).words
    with seeded_initialisation(seed):
        audio = AudioTower(6, 16, hidden_dims=(12,), pooling=pooling, pooling_dim=10, dropout=0.3)
        return DualEncoder(audio, WordTower(words, 16, word_dim=9, pooling=pooling, pooling_dim=10, dropout=0.3))


def clips_of(lengths: list[int], seed: int = 1) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(length, 6)).astype(np.float32) for length in lengths]


@pytest.mark.parametrize("pooling", ["mean", "max", "lstm_last", "lstm_mean"])
@settings(max_examples=10, deadline=None)
@given(lengths=st.lists(st.integers(1, 20), min_size=1, max_size=9), batch_size=st.integers(1, 9))
def test_embeddings_do_not_depend_on_the_batch(pooling: str, lengths: list[int], batch_size: int) -> None:
    model, clips = model_of(pooling=pooling), clips_of(lengths)
    alone_AD = np.concatenate([model.embed_clips([clip]) for clip in clips])
    np.testing.assert_allclose(model.embed_clips(clips, batch_size=batch_size), alone_AD, rtol=0, atol=1e-6)
    alone_CD = np.concatenate([model.embed_captions([caption]) for caption in CAPTIONS])
    np.testing.assert_allclose(model.embed_captions(CAPTIONS, batch_size=batch_size), alone_CD, rtol=0, atol=1e-6)


def test_embedding_is_deterministic_and_leaves_the_mode_alone() -> None:
    model = model_of().train()
    first = model.embed_captions(CAPTIONS)
    assert model.training and model.text.training
    np.testing.assert_array_equal(first, model.embed_captions(CAPTIONS))
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1, rtol=1e-6)


def test_clips_may_come_as_a_list_or_ragged() -> None:
    clips = clips_of([3, 1, 4])
    model = model_of()
    np.testing.assert_array_equal(model.embed_clips(clips), model.embed_clips(Ragged.from_sequences(clips)))


def test_captions_are_normalised() -> None:
    model = model_of()
    np.testing.assert_array_equal(model.embed_captions(["A dog BARKS!"]), model.embed_captions(["a dog barks"]))


def test_progress_counts_what_is_done() -> None:
    done: list[int] = []
    model_of().embed_clips(clips_of([1, 2, 3, 4, 5]), batch_size=2, on_progress=done.append)
    assert done == [2, 4, 5]


def test_unknown_words_are_counted_and_say_nothing() -> None:
    model = model_of(pooling="max")
    assert model.count_unknown_words(["a cat barks", "a cat"]) == {"cat": 2}
    assert not model.text.embedding.weight[UNK_ID].any()
    assert model.count_cut_captions(CAPTIONS) == 0


def test_the_same_seed_gives_the_same_model_and_another_seed_another() -> None:
    first, same, other = model_of(1), model_of(1), model_of(2)
    clips = clips_of([3])
    np.testing.assert_array_equal(first.embed_clips(clips), same.embed_clips(clips))
    assert not np.allclose(first.embed_clips(clips), other.embed_clips(clips))


def test_making_a_model_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    model_of()
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("pooling", ["mean", "lstm_last"])
def test_a_saved_model_opens_elsewhere_with_the_same_outputs_to_the_bit(tmp_path: Path, pooling: str) -> None:
    model = model_of(pooling=pooling)
    model.audio.fit_standardisation(torch.from_numpy(np.concatenate(clips_of([50], seed=3))) * 5 - 2)
    model.save_pretrained(tmp_path / "run")
    shutil.move(tmp_path / "run", tmp_path / "moved")
    opened = DualEncoder.from_pretrained(tmp_path / "moved")
    clips = clips_of([4, 2, 9])
    assert not opened.training
    np.testing.assert_array_equal(opened.embed_clips(clips), model.embed_clips(clips))
    np.testing.assert_array_equal(opened.embed_captions(CAPTIONS), model.embed_captions(CAPTIONS))


def test_the_configuration_holds_the_vocabulary(tmp_path: Path) -> None:
    model_of().save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["model"] == "dual_encoder"
    assert tuple(config["text"]["vocabulary"]) == Vocabulary.from_captions(CAPTIONS).words


def test_saving_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        model_of().save_pretrained(tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "model.sha256"])
def test_no_flipped_bit_goes_unnoticed(tmp_path: Path, name: str) -> None:
    model_of().save_pretrained(tmp_path)
    path = tmp_path / name
    good = path.read_bytes()
    rng = np.random.default_rng(4)
    positions = [*rng.integers(0, len(good), 66), len(good) - 1]
    for position, bit in ((position, bit) for position in positions for bit in rng.permutation(8)[:3]):
        flipped = bytearray(good)
        flipped[position] ^= 1 << bit
        path.write_bytes(flipped)
        with pytest.raises(IntegrityError) as caught:
            DualEncoder.from_pretrained(tmp_path)
        assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "model.sha256"])
@pytest.mark.parametrize("kept_percent", [0, 1, 50, 99])
def test_no_truncated_file_goes_unnoticed(tmp_path: Path, name: str, kept_percent: int) -> None:
    model_of().save_pretrained(tmp_path)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size * kept_percent // 100])
    with pytest.raises(IntegrityError, match="train the model again"):
        DualEncoder.from_pretrained(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "model.sha256"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    model_of().save_pretrained(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(IntegrityError, match=name):
        DualEncoder.from_pretrained(tmp_path)


def test_checksums_do_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    model_of().save_pretrained(tmp_path / "run")
    (tmp_path / "secret").write_text("x")
    with (tmp_path / "run" / "model.sha256").open("a") as checksums:
        checksums.write(f"{'0' * 64}  ../secret\n")
    with pytest.raises(IntegrityError, match="not a list of checksums"):
        DualEncoder.from_pretrained(tmp_path / "run")


def test_a_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    from atrkit.models.folder import write_model_folder

    write_model_folder(tmp_path, {"model": "ridge"}, {"model.safetensors": b""})
    with pytest.raises(IntegrityError, match="'ridge', not a dual encoder"):
        DualEncoder.from_pretrained(tmp_path)


def test_a_configuration_of_another_version_is_one_line(tmp_path: Path) -> None:
    from atrkit.models.folder import read_model_folder, write_model_folder

    model_of().save_pretrained(tmp_path)
    config, files = read_model_folder(tmp_path)
    config["audio"]["of_the_future"] = 1
    write_model_folder(tmp_path, config, files)
    with pytest.raises(IntegrityError, match=r"another version of atrkit .*of_the_future"):
        DualEncoder.from_pretrained(tmp_path)


def test_no_model_there_says_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(MissingPrerequisiteError, match="atrkit train"):
        DualEncoder.from_pretrained(tmp_path)
    with pytest.raises(MissingPrerequisiteError, match="no model folder"):
        DualEncoder.from_pretrained(tmp_path / "nowhere")


def test_a_hub_id_without_a_network_is_a_network_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(NetworkError, match="'someone/model' is no folder") as caught:
        DualEncoder.from_pretrained("someone/model")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["runs/nope", "study/nope", "runs/study/seed-1", "a/b/c", "./nope", "../nope", "/nowhere/nope", "~/nope", "nope"],
)
def test_a_name_that_is_a_path_is_not_looked_for_on_the_hub(name: str, tmp_path: Path, monkeypatch) -> None:
    def looked_for(*arguments, **options):
        raise AssertionError("the hub was asked")

    monkeypatch.setattr("huggingface_hub.snapshot_download", looked_for)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study").mkdir()  # so that what begins with it is a path
    with pytest.raises(MissingPrerequisiteError, match=f"there is no model folder {name}: run atrkit train, or check"):
        DualEncoder.from_pretrained(name)


def test_a_model_of_the_hub_is_opened_by_its_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model_of().save_pretrained(tmp_path / "snapshot")
    asked = []

    def from_hub(hub_id, **options):
        asked.append(hub_id)
        return str(tmp_path / "snapshot")

    monkeypatch.setattr("huggingface_hub.snapshot_download", from_hub)
    monkeypatch.chdir(tmp_path)
    opened = DualEncoder.from_pretrained("someone/model.v1")
    assert asked == ["someone/model.v1"] and opened.config == model_of().config


def test_what_cannot_be_embedded_is_named() -> None:
    model = model_of()
    with pytest.raises(UsageError, match=r"clip 1 .* length is 0"):
        model.embed_clips([np.zeros((2, 6)), np.zeros((0, 6))])
    with pytest.raises(UsageError, match="frames are 5 wide, the model takes 6"):
        model.embed_clips([np.zeros((2, 5))])
    with pytest.raises(UsageError, match=r"'\.\.\.' has no words"):
        model.embed_captions(["rain", "..."])
    with pytest.raises(DivergedError, match="clip 2"):
        model.embed_clips([*clips_of([1, 2]), np.full((2, 6), np.nan)])


def test_towers_must_end_in_one_space() -> None:
    with pytest.raises(UsageError, match="ends in 8 dimensions, the text tower in 16"):
        DualEncoder(AudioTower(6, 8), WordTower(Vocabulary.from_captions(CAPTIONS).words, 16))


def test_what_has_no_finite_embedding_is_named() -> None:
    model, clips = model_of(pooling="mean"), clips_of([3, 4])
    clips[1][0, 0] = np.inf
    with pytest.raises(DivergedError, match=r"clip 'b\.wav' has an embedding that is not finite"):
        model.embed_clips(clips, ids=["a.wav", "b.wav"])
    with pytest.raises(DivergedError, match=r"clip 1 \(counted from 0\)"):
        model.embed_clips(clips)


def test_cosines_keep_their_digits_under_mixed_precision() -> None:
    """In bfloat16 a cosine of 0.9 is a step of 0.004 away from the next one."""
    model = model_of(pooling="mean").eval()
    clips = ClipBatch((Padded(*Ragged.from_sequences(clips_of([3] * 32)).gather(torch.arange(32))),))
    texts = Padded(*model.prepare_captions(CAPTIONS).gather(torch.arange(len(CAPTIONS))))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (term,) = model.similarity_terms(clips, texts)
        audio_emb_BD, text_emb_BD = model(*clips.frames[0], *texts)
    assert term.similarity_BB.dtype == torch.float32
    expected = audio_emb_BD.double() @ text_emb_BD.double().T
    torch.testing.assert_close(term.similarity_BB.double(), expected, rtol=0, atol=1e-6)
