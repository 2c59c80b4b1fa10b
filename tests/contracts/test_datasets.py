"""What holds for every dataset, whoever made it: ids, order, hashes, lengths, captions, and its files."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from atrkit.datasets.folder import import_folder
from atrkit.datasets.manifest import Dataset, load_dataset, save_dataset
from atrkit.datasets.synthetic import SyntheticSizes, generate
from atrkit.text.normalise import normalise_caption

RATE_HZ = 8000


def noise(seconds: float, channels: int, seed: int) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal((int(seconds * RATE_HZ), channels))


def make_synthetic(folder: Path) -> Dataset:
    return generate(folder / "data" / "synthetic", SyntheticSizes(dev=12, val=12, eval=12), 3, 1)


def make_from_table(folder: Path) -> Dataset:
    """Clips of several formats in subfolders, one of which is cut short and one no sound at all."""
    audio = folder / "sounds"
    (audio / "in a folder").mkdir(parents=True)
    rows = ["file_name,caption_1,caption_2"]
    for number in range(5):
        soundfile.write(audio / f"in a folder/{number}.wav", noise(0.2 + number / 10, 1 + number % 2, number), RATE_HZ)
        rows.append(f"in a folder/{number}.wav,Rain falls on roof {number}.,")
    soundfile.write(audio / "ü.flac", noise(0.5, 1, 7), RATE_HZ)
    (audio / "cut.wav").write_bytes((audio / "in a folder" / "4.wav").read_bytes()[:3000])
    (audio / "text.wav").write_text("this is no sound")
    rows += ['ü.flac,"A dog barks, twice.",Barking.', "cut.wav,Half a sound.,", "text.wav,No sound.,"]
    (audio / "captions.csv").write_text("\n".join(rows) + "\n")
    return import_folder(audio / "captions.csv", "table", folder / "data" / "table", split="50/25/25", seed=2)


def make_from_folder(folder: Path) -> Dataset:
    """Sounds without captions."""
    audio = folder / "sounds"
    audio.mkdir()
    for number in range(3):
        soundfile.write(audio / f"{number}.wav", noise(0.2, 1, number), RATE_HZ)
    return import_folder(audio, "plain", folder / "data" / "plain")


MAKERS = [make_synthetic, make_from_table, make_from_folder]
WITH_CAPTIONS = [make_synthetic, make_from_table]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Callable[[Path], Dataset]], Dataset]:
    """Each dataset, made once and saved."""
    datasets: dict[str, Dataset] = {}

    def make(maker: Callable[[Path], Dataset]) -> Dataset:
        if maker.__name__ not in datasets:
            datasets[maker.__name__] = maker(tmp_path_factory.mktemp(maker.__name__))
            save_dataset(datasets[maker.__name__])
        return datasets[maker.__name__]

    return make


@pytest.fixture(params=MAKERS, ids=lambda maker: maker.__name__)
def dataset(request: pytest.FixtureRequest, made: Callable[..., Dataset]) -> Dataset:
    return made(request.param)


def test_ids_are_unique_and_clips_sorted_by_split_and_id(dataset: Dataset) -> None:
    assert len({clip.id for clip in dataset.clips}) == len(dataset.clips) > 0
    keys = [(clip.split, clip.id) for clip in dataset.clips]
    assert keys == sorted(keys)
    assert dataset.splits == tuple(sorted({split for split, _ in keys}))
    caption_ids = [caption.id for clip in dataset.clips for caption in clip.captions]
    assert len(set(caption_ids)) == len(caption_ids)


def test_hashes_are_those_of_the_audio_files(dataset: Dataset) -> None:
    for clip in dataset.clips:
        assert clip.sha256 == hashlib.sha256(dataset.audio_path(clip).read_bytes()).hexdigest()


def test_lengths_rates_and_channels_are_what_can_be_read(dataset: Dataset) -> None:
    for clip in dataset.clips:
        samples, rate_hz = soundfile.read(dataset.audio_path(clip), always_2d=True)
        assert (clip.frames, clip.channels, clip.sample_rate_hz) == (*samples.shape, rate_hz)
        assert clip.duration_s == pytest.approx(len(samples) / rate_hz) and clip.duration_s > 0


def test_captions_are_text_with_words_that_belong_to_their_clip(dataset: Dataset) -> None:
    for clip in dataset.clips:
        for caption in clip.captions:
            assert isinstance(caption.text, str) and caption.text == caption.text.strip()
            assert normalise_caption(caption.text)
            assert caption.id.startswith(clip.id)


@pytest.mark.parametrize("maker", WITH_CAPTIONS)
def test_captioned_datasets_have_a_caption_for_every_clip(maker: Callable[[Path], Dataset], made) -> None:
    assert all(clip.captions for clip in made(maker).clips)


def test_saved_and_loaded_it_is_the_same(dataset: Dataset) -> None:
    assert load_dataset(dataset.folder) == dataset


def test_saving_again_gives_the_same_bytes(dataset: Dataset) -> None:
    def content() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in dataset.folder.iterdir() if path.is_file()}

    before = content()
    save_dataset(load_dataset(dataset.folder))
    assert content() == before and {"manifest.jsonl", "dataset.json", "problems.jsonl"} <= before.keys()


def test_made_again_elsewhere_it_describes_the_same_clips(dataset: Dataset, tmp_path: Path) -> None:
    maker = {"synthetic": make_synthetic, "table": make_from_table, "plain": make_from_folder}[dataset.name]
    again = maker(tmp_path)
    assert [(clip.id, clip.sha256, clip.split, clip.captions) for clip in again.clips] == [
        (clip.id, clip.sha256, clip.split, clip.captions) for clip in dataset.clips
    ]


def test_what_was_skipped_is_no_clip_and_what_was_repaired_is_one(dataset: Dataset) -> None:
    ids = {clip.id for clip in dataset.clips}
    for problem in dataset.problems:
        assert (problem.item in ids) == (problem.action != "skipped")
        assert problem.reason and "\n" not in problem.reason
    if dataset.name == "table":
        actions = {Path(problem.item).name: problem.action for problem in dataset.problems}
        assert actions == {"cut.wav": "repaired", "text.wav": "skipped"}


def test_it_says_where_it_comes_from(dataset: Dataset) -> None:
    assert dataset.about.get("source")
