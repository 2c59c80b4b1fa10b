"""The facts of the encoders: as ENCODERS.md has them, complete, and there without torch."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from atrkit.encoders import ENCODER_NAMES
from atrkit.encoders.catalogue import COMMON_SETTINGS, ENCODERS, PRECISIONS, VGGISH_PCA

FACTS = Path(__file__).resolve().parents[3] / "shared" / "ENCODERS.md"
CHECKPOINTS = [checkpoint for spec in ENCODERS.values() for checkpoint in spec.checkpoints.values()] + [VGGISH_PCA]
by_file = pytest.mark.parametrize("checkpoint", CHECKPOINTS, ids=[each.file_name for each in CHECKPOINTS])


@pytest.fixture(scope="module")
def stated() -> dict[str, list[str]]:
    """The cells of ENCODERS.md's table by encoder."""
    if not FACTS.is_file():
        pytest.skip("needs ../shared/ENCODERS.md")
    rows = [line.strip("|").split("|") for line in FACTS.read_text().splitlines() if line.startswith("| ")]
    return {cells[0].split()[0]: [cell.strip() for cell in cells] for cells in rows}


def test_the_names_are_those_of_the_design():
    assert set(ENCODER_NAMES) == {
        *("cnn14", "cnn14_16k", "cnn10", "resnet38", "convnext_tiny", "vggish", "vggsound_resnet18"),
        *("clap", "mn04", "logmel"),
        "waveform",  # ours: samples for networks that learn
    }
    assert all(spec.name == name for name, spec in ENCODERS.items())


def test_facts_need_no_torch():
    code = "import sys, atrkit.encoders.catalogue; print(sorted({'torch', 'transformers', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("name", [name for name in ENCODER_NAMES if name != "waveform"])
def test_rate_and_dimension_are_as_stated(stated, name):
    spec, (_, rate, frames, _, min_samples, *_) = ENCODERS[name], stated[name]
    rate = stated["cnn14"][1] if rate == "as cnn14" else rate
    assert rate.startswith(f"{spec.sample_rate_hz // 1000} k")
    if size := re.match(r"\d+ x (\d+)", frames):
        assert spec.frame_dim == int(size.group(1))
    if re.fullmatch(r"[\d,]+", min_samples):
        assert spec.min_samples == int(min_samples.replace(",", ""))


@by_file
def test_file_and_md5_are_as_stated(stated, checkpoint):
    cell = stated[checkpoint.name][5]
    assert checkpoint.file_name in cell
    if found := re.search(re.escape(checkpoint.file_name) + r"`? ([0-9a-f]{32})", cell):
        assert checkpoint.md5 == found.group(1)


@by_file
def test_what_is_said_of_a_file_is_well_formed(checkpoint):
    assert checkpoint.url.startswith("https://")
    assert checkpoint.url.replace("%3D", "=").endswith(f"/{checkpoint.file_name}")
    assert re.fullmatch(r"[0-9a-f]{32}", checkpoint.md5 or "0" * 32)
    assert re.fullmatch(r"[0-9a-f]{8}|[0-9a-f]{64}", checkpoint.sha256 or "0" * 64)
    assert bool(checkpoint.hash_source) == bool(checkpoint.sha256)  # whoever states one is named
    assert checkpoint.licence
    if checkpoint.size_bytes and checkpoint.about_mb:
        assert checkpoint.about_mb == pytest.approx(checkpoint.size_bytes / 1e6, rel=0.02)


def test_only_one_file_is_published_without_a_checksum():
    assert [each.file_name for each in CHECKPOINTS if not each.sha256 and not each.md5] == ["H.pth.tar"]


def test_no_two_files_share_a_place_in_the_cache():
    assert len({each.file_name for each in CHECKPOINTS}) == len(CHECKPOINTS)


def test_default_variants_are_there():
    for spec in ENCODERS.values():
        assert not spec.checkpoints or spec.default_variant in spec.checkpoints
    assert "AudioCaps" in ENCODERS["convnext_tiny"].checkpoints[ENCODERS["convnext_tiny"].default_variant].note


def test_settings_have_one_meaning():
    for spec in ENCODERS.values():
        assert not set(spec.settings) & set(COMMON_SETTINGS)
    assert PRECISIONS[0] == "fp32"
