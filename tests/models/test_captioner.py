"""A captioner as a whole: what it reads, what padding does, and what becomes of it on the disk."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from atrkit.errors import DivergedError, IntegrityError, MissingPrerequisiteError, UsageError
from atrkit.models import Captioner, GruDecoder, Ragged, TransformerDecoder, seeded_initialisation
from atrkit.models.folder import read_model_folder, write_model_folder
from atrkit.models.positions import sinusoidal_positions
from atrkit.text.vocabulary import BOS_ID, EOS_ID, UNK_ID, CaptionVocabulary

CAPTIONS = ["a dog barks", "rain falls on a tin roof", "wind"]
WORDS = CaptionVocabulary.from_captions(CAPTIONS).words
FRAME_DIM = 6
KINDS = ("transformer", "gru")


def make_captioner(kind: str = "transformer", seed: int = 1, **arguments) -> Captioner:
    with seeded_initialisation(seed):
        decoder = (
            TransformerDecoder(len(WORDS), dim=16, num_layers=2, num_heads=2, ff_dim=24)
            if kind == "transformer"
            else GruDecoder(len(WORDS), dim=16)
        )
        return Captioner(FRAME_DIM, WORDS, decoder, **arguments)


def batch_of(lengths: list[int], captions: list[str] = CAPTIONS, seed: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    rng = np.random.default_rng(seed)
    frames = Ragged.from_sequences([rng.normal(size=(length, FRAME_DIM)) for length in lengths])
    frames_BTF, lengths_B = frames.gather(torch.arange(len(lengths)))
    tokens = make_captioner().tokenise(captions)
    tokens_BL, _ = tokens.gather(torch.arange(len(lengths)) % len(captions))
    return frames_BTF, lengths_B, tokens_BL[:, :-1]


def logits_of(model: Captioner, *batch: Tensor) -> Tensor:
    with torch.no_grad():
        return model.eval()(*batch)


@pytest.mark.parametrize("positions", ["none", "sinusoidal"])
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=10, deadline=None)
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=5), extra=st.integers(0, 5), seed=st.integers(0, 99))
def test_padding_changes_nothing(kind: str, positions: str, lengths: list[int], extra: int, seed: int) -> None:
    model = make_captioner(kind, audio_positions=positions, standardise=True)
    model.fit_standardisation(torch.randn(50, FRAME_DIM, generator=torch.Generator().manual_seed(0)) * 3 + 1)
    frames_BTF, lengths_B, tokens_BL = batch_of(lengths, seed=seed)
    padded_BTF = torch.full((len(lengths), frames_BTF.shape[1] + extra, FRAME_DIM), 1e4)
    for row, length in enumerate(lengths):
        padded_BTF[row, :length] = frames_BTF[row, :length]
    logits_BLV = logits_of(model, padded_BTF, lengths_B, tokens_BL)
    for row, length in enumerate(lengths):
        alone = (frames_BTF[row : row + 1, :length], lengths_B[row : row + 1], tokens_BL[row : row + 1])
        torch.testing.assert_close(logits_BLV[row], logits_of(model, *alone)[0], rtol=0, atol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_frames_is_heard_with_positions_only(kind: str) -> None:
    frames_BTF, lengths_B, tokens_BL = batch_of([7, 7, 7])
    shuffled_BTF = frames_BTF[:, [3, 6, 0, 2, 5, 1, 4]]
    for positions, is_heard in (("none", False), ("sinusoidal", True)):
        model = make_captioner(kind, audio_positions=positions)
        before, after = (logits_of(model, frames, lengths_B, tokens_BL) for frames in (frames_BTF, shuffled_BTF))
        assert torch.allclose(before, after, atol=1e-5) != is_heard


def test_memory_is_the_projection_of_the_paper() -> None:
    """Dropout, dense, ReLU, dropout; and positions on top where the recipe asks for them."""
    frames_BTF, lengths_B, _ = batch_of([4, 4])
    plain, placed = make_captioner().eval(), make_captioner(audio_positions="sinusoidal").eval()
    weight_DF, bias_D = (parameter.detach() for parameter in plain.projection.parameters())
    expected_BTD = (frames_BTF @ weight_DF.T + bias_D).clamp(min=0)
    with torch.no_grad():
        torch.testing.assert_close(plain.memory(frames_BTF, lengths_B), expected_BTD)
        torch.testing.assert_close(placed.memory(frames_BTF, lengths_B), expected_BTD + sinusoidal_positions(4, 16))


def test_the_projection_drops_half_of_its_input_and_of_its_output_in_training() -> None:
    model = make_captioner(projection_dropout=0.5).train()
    with torch.no_grad():
        model.projection[1].weight.fill_(1.0)
        model.projection[1].bias.fill_(0.0)
        ones_BTF = torch.ones(1, 2000, FRAME_DIM)
        memory_BTD = model.memory(ones_BTF, torch.tensor([2000]))
    assert (memory_BTD == 0).float().mean().item() == pytest.approx(0.5 + 0.5 * 0.5**FRAME_DIM, abs=0.02)
    assert memory_BTD.mean().item() == pytest.approx(FRAME_DIM, rel=0.05)  # what is kept is scaled up


def test_captions_become_word_ids_between_bos_and_eos() -> None:
    model = make_captioner()
    tokens = model.tokenise(["A dog, barking: BARKS!", "wind"])
    tokens_BL, lengths_B = tokens.gather(torch.tensor([1, 0]))
    assert lengths_B.tolist() == [3, 6]
    words = [[WORDS[token] for token in row] for row in tokens_BL.tolist()]
    assert words == [
        ["<bos>", "wind", "<eos>", "<pad>", "<pad>", "<pad>"],
        ["<bos>", "a", "dog", "<unk>", "barks", "<eos>"],
    ]
    assert tokens_BL[0].tolist()[:3] == [BOS_ID, WORDS.index("wind"), EOS_ID] and WORDS.index("<unk>") == UNK_ID
    assert model.count_unknown_words(["a dog barking", "Barking cats"]) == {"barking": 2, "cats": 1}


def test_a_caption_without_words_is_refused() -> None:
    with pytest.raises(UsageError, match=r"a caption has no word: '\.\.\.' \(2 such\)"):
        make_captioner().tokenise(["rain", "...", " "])


def test_frames_are_standardised_by_the_training_frames() -> None:
    rng = np.random.default_rng(0)
    train_NF = rng.normal(5.0, [1, 2, 3, 4, 5, 6], size=(400, FRAME_DIM)).astype(np.float32)
    train_NF[:, 2] = 7.25  # constant: centred and not scaled
    model = make_captioner(standardise=True)
    assert model.fit_standardisation(torch.from_numpy(train_NF)) == 1
    frames_BTF = torch.from_numpy(train_NF[:20]).reshape(2, 10, FRAME_DIM)
    standardised_BTF = model.standardise(frames_BTF, torch.tensor([10, 4]))
    deviation_F = train_NF.std(0, dtype=np.float64)
    deviation_F[2] = 1
    expected_BTF = (frames_BTF.numpy() - train_NF.mean(0, dtype=np.float64)) / deviation_F
    expected_BTF[1, 4:] = 0  # padding
    np.testing.assert_allclose(standardised_BTF, expected_BTF, atol=1e-5)


def test_frames_are_left_alone_where_nothing_is_standardised() -> None:
    model = make_captioner()
    frames_BTF, lengths_B, _ = batch_of([3, 2])
    assert model.fit_standardisation(frames_BTF.flatten(0, 1) * 100) == 0
    assert torch.equal(model.standardise(frames_BTF, lengths_B), frames_BTF)


def test_nan_in_the_training_frames_is_met_before_training() -> None:
    with pytest.raises(DivergedError, match="training frames hold NaN"):
        make_captioner(standardise=True).fit_standardisation(torch.full((3, FRAME_DIM), torch.nan))


def test_frames_of_another_width_are_refused() -> None:
    model, five_BTF = make_captioner(), torch.zeros(1, 2, 5)
    with pytest.raises(UsageError, match="frames are 5 wide, the model takes 6: use the encoder"):
        model.memory(five_BTF, torch.tensor([2]))
    with pytest.raises(UsageError, match="frames are 5 wide"):
        model.fit_standardisation(five_BTF[0])


@pytest.mark.parametrize("positions", ["none", "sinusoidal"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_model_opens_elsewhere_with_the_same_outputs_to_the_bit(
    tmp_path: Path, kind: str, positions: str
) -> None:
    model = make_captioner(kind, audio_positions=positions, standardise=True, projection_dropout=0.1)
    model.fit_standardisation(torch.randn(50, FRAME_DIM, generator=torch.Generator().manual_seed(3)) * 5 - 2)
    model.save_pretrained(tmp_path / "run")
    shutil.move(tmp_path / "run", tmp_path / "moved")
    opened = Captioner.from_pretrained(tmp_path / "moved")
    batch = batch_of([4, 2, 9])
    assert not opened.training
    assert opened.config == model.config and opened.vocabulary == model.vocabulary
    assert torch.equal(logits_of(opened, *batch), logits_of(model, *batch))


def test_saving_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_captioner().save_pretrained(tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_the_configuration_holds_the_vocabulary(tmp_path: Path) -> None:
    make_captioner("gru").save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["model"], config["decoder"]["name"], tuple(config["words"])) == ("captioner", "gru", WORDS)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "model.sha256"])
def test_no_damage_goes_unnoticed(tmp_path: Path, name: str) -> None:
    make_captioner().save_pretrained(tmp_path)
    path = tmp_path / name
    good = path.read_bytes()
    rng = np.random.default_rng(4)
    for position in [*rng.integers(0, len(good), 20), len(good) - 1]:
        path.write_bytes(good[:position] + bytes([good[position] ^ 1 << int(rng.integers(8))]) + good[position + 1 :])
        with pytest.raises(IntegrityError) as caught:
            Captioner.from_pretrained(tmp_path)
        assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)
    for kept in (0, len(good) // 2, len(good) - 1):
        path.write_bytes(good[:kept])
        with pytest.raises(IntegrityError, match="train the model again"):
            Captioner.from_pretrained(tmp_path)


def test_folders_that_hold_no_captioner(tmp_path: Path) -> None:
    with pytest.raises(MissingPrerequisiteError, match="atrkit train"):
        Captioner.from_pretrained(tmp_path)
    write_model_folder(tmp_path, {"model": "ridge"}, {"model.safetensors": b""})
    with pytest.raises(IntegrityError, match="of kind 'ridge', not a captioner"):
        Captioner.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda config: config.update(of_the_future=1), "another version of atrkit .*of_the_future"),
        (lambda config: config["decoder"].update(of_the_future=1), "another version of atrkit .*of_the_future"),
        (lambda config: config["decoder"].update(dim=32), "another version of atrkit"),
        (lambda config: config["decoder"].update(name="mamba"), "a decoder of unknown kind 'mamba': update atrkit"),
        (lambda config: config.pop("words"), "another version of atrkit .*words"),
        (lambda config: config["words"].reverse(), "a vocabulary starts with <pad> <unk> <bos> <eos>"),
    ],
)
def test_a_configuration_of_another_version_is_one_line(tmp_path: Path, change, reason: str) -> None:
    make_captioner().save_pretrained(tmp_path)
    config, files = read_model_folder(tmp_path)
    change(config)
    write_model_folder(tmp_path, config, files)
    with pytest.raises(IntegrityError, match=reason) as caught:
        Captioner.from_pretrained(tmp_path)
    assert "\n" not in str(caught.value)
