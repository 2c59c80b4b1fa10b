"""Everything that imports transformers, in one module: the import alone takes over ten seconds."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from atrkit.errors import IntegrityError, MissingPrerequisiteError, NetworkError, UsageError
from atrkit.losses import NtXent
from atrkit.models import AudioTower, DualEncoder, HciRetriever, Ragged, TransformerTower, seeded_initialisation
from atrkit.models.distinct import distinct_sequences
from atrkit.models.retriever import ClipInputs, Padded, SimilarityTerm
from atrkit.models.text_encoders import SentenceEncoder, load_sentence_encoder
from atrkit.models.token_towers import TransformerTokens
from atrkit.training import OptimizerSettings, TrainingData, train_retriever

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "dog", "bark", "##s", "rain", "falls", "then", "bell", "rings"]
CAPTIONS = ["a dog barks", "rain falls then a bell rings", "rain", "a dog barks then a dog barks then rain falls"]


@pytest.fixture(scope="module")
def bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("text") / "tiny_bert"
    with seeded_initialisation(3):
        network = BertModel(
            BertConfig(
                vocab_size=len(WORDS),
                hidden_size=16,
                num_hidden_layers=2,
                num_attention_heads=2,
                intermediate_size=24,
                max_position_embeddings=32,
            )
        )
    network.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=32).save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return


def model_of(bert_folder: Path, **tower: Any) -> DualEncoder:
    with seeded_initialisation(1):
        audio = AudioTower(6, 8, hidden_dims=(), pooling="mean")
        return DualEncoder(audio, TransformerTower.open(str(bert_folder), out_dim=8, **tower)).eval()


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_sentences_are_the_pooled_last_hidden_states(bert_folder: Path, pooling: str) -> None:
    from transformers import AutoModel, AutoTokenizer

    tokenizer, network = AutoTokenizer.from_pretrained(bert_folder), AutoModel.from_pretrained(bert_folder).eval()
    expected = []
    for caption in CAPTIONS:
        with torch.no_grad():
            hidden_LF = network(**tokenizer(caption, return_tensors="pt")).last_hidden_state[0]
        sentence_F = hidden_LF.mean(dim=0) if pooling == "mean" else hidden_LF[0]
        expected.append((sentence_F / sentence_F.norm()).numpy())
    encoder = load_sentence_encoder(str(bert_folder), pooling=pooling)  # type: ignore[arg-type]
    np.testing.assert_allclose(encoder.embed(CAPTIONS, batch_size=3), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_saved_tower_is_complete_and_opens_elsewhere(
    bert_folder: Path, tmp_path: Path, frozen: bool, pooling: str
) -> None:
    source = shutil.copytree(bert_folder, tmp_path / "source")
    model = model_of(source, frozen=frozen, pooling=pooling)
    model.save_pretrained(tmp_path / "run")
    shutil.rmtree(source)
    shutil.move(tmp_path / "run", tmp_path / "moved")
    opened = DualEncoder.from_pretrained(tmp_path / "moved")
    np.testing.assert_array_equal(opened.embed_captions(CAPTIONS), model.embed_captions(CAPTIONS))
    assert opened.text.frozen is frozen and opened.text.encoder.pooling == pooling


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_embeddings_do_not_depend_on_the_batch(bert_folder: Path, frozen: bool, batch_size: int) -> None:
    model = model_of(bert_folder, frozen=frozen)
    np.testing.assert_allclose(
        model.embed_captions(CAPTIONS, batch_size=batch_size), model.embed_captions(CAPTIONS), rtol=0, atol=1e-6
    )


def test_frozen_and_tuned_towers_agree_before_training(bert_folder: Path) -> None:
    frozen, tuned = model_of(bert_folder, frozen=True), model_of(bert_folder, frozen=False)
    np.testing.assert_allclose(frozen.embed_captions(CAPTIONS), tuned.embed_captions(CAPTIONS), rtol=0, atol=1e-6)


def test_a_frozen_network_is_neither_trained_nor_put_in_training_mode(bert_folder: Path) -> None:
    tower = model_of(bert_folder, frozen=True).train().text
    assert not tower.encoder.training and tower.head.training
    assert {name.partition(".")[0] for name, p in tower.named_parameters() if p.requires_grad} == {"head"}


@pytest.mark.parametrize("frozen", [True, False])
def test_training_moves_a_tuned_network_only_and_resumes_to_the_same_bits(
    bert_folder: Path, tmp_path: Path, frozen: bool
) -> None:
    rng = np.random.default_rng(1)
    frames = Ragged.from_sequences([rng.normal(size=(3, 6)) for _ in CAPTIONS])
    data = TrainingData(frames, tuple("abcd"), tuple((caption,) for caption in CAPTIONS))

    def train(folder: Path, stop_after: int | None) -> DualEncoder:
        model, steps = model_of(bert_folder, frozen=frozen), iter(range(1, 100))
        optimizer = OptimizerSettings(lr=1e-2)
        train_retriever(
            model,
            NtXent(),
            data,
            data,
            epochs=3,
            batch_size=2,
            optimizer=optimizer,
            run_folder=folder,
            stop_requested=lambda: KeyboardInterrupt if next(steps) == stop_after else None,
        )
        return model

    before = model_of(bert_folder, frozen=frozen).text.encoder.state_dict()
    whole = train(tmp_path / "whole", stop_after=None)
    after = whole.text.encoder.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before) is frozen
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "resumed", stop_after=3)
    train(tmp_path / "resumed", stop_after=None)
    for name in ("model.safetensors", "metrics.jsonl"):
        assert (tmp_path / "resumed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_checkpoints_leave_frozen_weights_out(bert_folder: Path, tmp_path: Path) -> None:
    from atrkit.training.checkpoint import CHECKPOINT_NAME

    data = TrainingData(
        Ragged.from_sequences([np.full((2, 6), value) for value in (1.0, 2.0)]), ("a", "b"), (("rain",), ("dog",))
    )
    train_retriever(
        model_of(bert_folder, frozen=True),
        NtXent(),
        data,
        None,
        epochs=1,
        batch_size=2,
        optimizer=OptimizerSettings(lr=1e-2),
        run_folder=tmp_path,
        keep_best="last",
    )
    weights = torch.load(_content_after_first_line(tmp_path / CHECKPOINT_NAME), weights_only=True)["weights"]
    assert weights and not any("encoder" in name for name in weights)


def _content_after_first_line(path: Path) -> Any:
    import io

    return io.BytesIO(path.read_bytes().partition(b"\n")[2])


def test_long_captions_are_cut_and_counted(bert_folder: Path) -> None:
    encoder = load_sentence_encoder(str(bert_folder), max_tokens=6)
    assert encoder.count_cut(CAPTIONS) == 2  # word pieces, [CLS] and [SEP] counted: 6, 8, 3 and 14
    assert encoder.tokenise(CAPTIONS).lengths_A.tolist() == [6, 6, 3, 6]
    model = model_of(bert_folder)
    long = "rain " * 40
    assert model.count_cut_captions([long, "rain"]) == 1
    assert np.isfinite(model.embed_captions([long])).all()


def test_words_unknown_to_the_tokenizer_are_counted(bert_folder: Path) -> None:
    assert model_of(bert_folder).count_unknown_words(["a cat barks", "a cat rings"]) == {"cat": 2}
    assert model_of(bert_folder).count_unknown_words([]) == {}


def test_a_caption_without_words_is_refused(bert_folder: Path) -> None:
    with pytest.raises(UsageError, match="has no words"):
        model_of(bert_folder).embed_captions(["rain", "?"])


def test_what_is_not_there_is_one_line(bert_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingPrerequisiteError, match="is not there"):
        load_sentence_encoder(str(tmp_path / "nowhere"))
    with pytest.raises(MissingPrerequisiteError, match="holds no text encoder") as no_model:
        load_sentence_encoder(str(tmp_path))
    with pytest.raises(NetworkError, match="'someone/encoder' is no folder") as no_hub:
        load_sentence_encoder("someone/encoder")
    assert "\n" not in str(no_model.value) + str(no_hub.value)
    with pytest.raises(UsageError, match="choose mean or cls"):
        load_sentence_encoder(str(bert_folder), pooling="max")  # type: ignore[arg-type]


def test_pickled_weights_are_not_read(bert_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(bert_folder, tmp_path / "pickled")
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(MissingPrerequisiteError, match="safetensors"):
        load_sentence_encoder(str(folder))


def test_a_damaged_tokenizer_is_found(bert_folder: Path, tmp_path: Path) -> None:
    model_of(bert_folder).save_pretrained(tmp_path)
    path = tmp_path / "text_encoder" / "tokenizer.json"
    path.write_bytes(path.read_bytes().replace(b"rain", b"wind"))
    with pytest.raises(IntegrityError, match=r"tokenizer\.json is damaged"):
        DualEncoder.from_pretrained(tmp_path)


def test_files_that_no_network_can_be_made_of_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(IntegrityError, match="cannot be read"):
        SentenceEncoder.restore(tmp_path)


# --- the retriever of paper 001 on a pretrained text network


def hci_of(bert_folder: Path, *, frozen: bool) -> HciRetriever:
    with seeded_initialisation(1):
        text = TransformerTokens.open(str(bert_folder), frozen=frozen)
        return HciRetriever(6, text, dim=8, segments=2, caption_matching=True).eval()


def hci_terms(model: HciRetriever, generated: list[str]) -> tuple[SimilarityTerm, ...]:
    rng = np.random.default_rng(1)
    frames = Ragged.from_sequences([rng.normal(size=(3, 6)) for _ in CAPTIONS])
    clips = ClipInputs((frames,), model.prepare_auxiliary(generated))
    index_B = torch.arange(len(CAPTIONS))
    return model.similarity_terms(clips.gather(index_B), Padded(*model.prepare_captions(CAPTIONS).gather(index_B)))


@pytest.mark.parametrize("frozen", [True, False])
def test_words_are_tokens_and_the_sentence_is_cls(bert_folder: Path, frozen: bool) -> None:
    from transformers import AutoModel, AutoTokenizer

    tokenizer, network = AutoTokenizer.from_pretrained(bert_folder), AutoModel.from_pretrained(bert_folder).eval()
    model = hci_of(bert_folder, frozen=frozen)
    prepared = model.prepare_captions(CAPTIONS)
    vectors = model.caption_vectors(Padded(*prepared.gather(torch.arange(len(CAPTIONS)))))
    assert vectors.words_BLD is not None
    for row, caption in enumerate(CAPTIONS):
        with torch.no_grad():
            hidden_LF = network(**tokenizer(caption, return_tensors="pt")).last_hidden_state[0]
            wanted_LD = torch.nn.functional.normalize(model.text_projection(hidden_LF), dim=-1)
        close = {"rtol": 0, "atol": 2e-3 if frozen else 1e-5}  # a frozen network's output is kept in float16
        torch.testing.assert_close(vectors.sentence_BD[row], wanted_LD[0], **close)
        length = int(vectors.lengths_B[row])
        assert length == len(hidden_LF) - 2
        torch.testing.assert_close(vectors.words_BLD[row, :length], wanted_LD[1:-1], **close)


@pytest.mark.parametrize("frozen", [True, False])
def test_generated_captions_are_read_by_the_network_as_it_was_opened(bert_folder: Path, frozen: bool) -> None:
    model = hci_of(bert_folder, frozen=frozen).train()
    before = model.prepare_auxiliary(CAPTIONS)
    assert before.lengths_A.tolist() == [1, 1, 1, 1] and before.values.shape == (4, 16)
    wanted = load_sentence_encoder(str(bert_folder), pooling="cls").pooled(CAPTIONS)
    torch.testing.assert_close(before.values, wanted, rtol=0, atol=2e-3)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    torch.stack([NtXent()(term.similarity_BB) for term in hci_terms(model, CAPTIONS)]).sum().backward()
    optimizer.step()
    assert torch.equal(model.prepare_auxiliary(CAPTIONS).values, before.values)
    is_tuned = not torch.allclose(model.text.encoder.network.embeddings.word_embeddings.weight, _words_of(bert_folder))
    assert is_tuned is not frozen
    assert (model.caption_network is None) is frozen  # a network that is not tuned is kept once


def _words_of(bert_folder: Path) -> torch.Tensor:
    from transformers import AutoModel

    return AutoModel.from_pretrained(bert_folder).embeddings.word_embeddings.weight  # type: ignore[no-any-return]


@pytest.mark.parametrize("frozen", [True, False])
def test_a_saved_model_of_three_levels_is_complete(bert_folder: Path, tmp_path: Path, frozen: bool) -> None:
    source = shutil.copytree(bert_folder, tmp_path / "source")
    model = hci_of(source, frozen=frozen)
    model.save_pretrained(tmp_path / "run")
    shutil.rmtree(source)
    shutil.move(tmp_path / "run", tmp_path / "moved")
    opened = HciRetriever.from_pretrained(tmp_path / "moved")
    generated = CAPTIONS[::-1]
    for wanted, got in zip(hci_terms(model, generated), hci_terms(opened, generated), strict=True):
        assert torch.equal(wanted.similarity_BB, got.similarity_BB)


# --- the same caption twice

TWICE = [*CAPTIONS, "a bell rings", "a dog falls then rings", *(f"{caption.upper()}." for caption in CAPTIONS)]


@pytest.fixture
def through_the_network(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many captions went through the text network, call by call."""
    counted: list[int] = []
    hidden = SentenceEncoder.hidden

    def count(self: SentenceEncoder, token_ids_BL: torch.Tensor, lengths_B: torch.Tensor) -> torch.Tensor:
        counted.append(len(lengths_B))
        return hidden(self, token_ids_BL, lengths_B)

    monkeypatch.setattr(SentenceEncoder, "hidden", count)
    return counted


@pytest.mark.parametrize("batch_size", [2, 3, 64])
def test_a_frozen_network_reads_each_distinct_caption_once(
    bert_folder: Path, through_the_network: list[int], batch_size: int
) -> None:
    prepared = model_of(bert_folder).text.prepare(TWICE, batch_size=batch_size)
    assert sum(through_the_network) == 6
    np.testing.assert_array_equal(prepared.values[6:], prepared.values[:4])
    through_the_network.clear()
    tokens = TransformerTokens.open(str(bert_folder))
    hidden = tokens.prepare(TWICE, batch_size=batch_size)
    assert sum(through_the_network) == 6 and len(distinct_sequences(hidden)[0]) == 6
    for caption, text in enumerate(TWICE):
        alone = tokens.prepare([text]).values.float()
        own = hidden.values[hidden.offsets[caption] : hidden.offsets[caption + 1]].float()
        torch.testing.assert_close(own, alone, rtol=0, atol=2e-3)  # float16


def test_a_tuned_network_embeds_equal_captions_to_the_same_bits(
    bert_folder: Path, through_the_network: list[int]
) -> None:
    emb_CD = model_of(bert_folder, frozen=False).embed_captions(TWICE, batch_size=3)
    assert sum(through_the_network) == 6
    np.testing.assert_array_equal(emb_CD[6:], emb_CD[:4])
