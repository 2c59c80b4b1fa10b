"""`info encoders`: what people see in 80 columns, and everything as JSON."""

import io

import pytest
from rich.console import Console

from atrkit.encoders.catalogue import ENCODERS, VGGISH_PCA
from atrkit.reports.encoder_table import encoder_view
from atrkit.workflows.info_encoders import encoder_records

CNN14 = ENCODERS["cnn14"].checkpoints[""]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ATRKIT_CACHE", str(tmp_path))
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    return folder


@pytest.fixture
def shown(cache):
    """The lines of the view at a width: `shown(80)`."""

    def lines(width: int = 80) -> list[str]:
        console = Console(file=io.StringIO(), width=width, record=True, highlight=False)
        console.print(encoder_view(encoder_records()))
        return [line.rstrip() for line in console.export_text().splitlines()]

    return lines


def section(lines: list[str], label: str) -> list[str]:
    """The lines about one file."""
    start = next(number for number, line in enumerate(lines) if line.startswith(f"{label}: "))
    ends = [number for number, line in enumerate(lines) if number > start and not line.startswith("  ")]
    return lines[start : min(ends, default=len(lines))]


def test_a_file_has_size_licence_hashes_with_who_states_them_and_address(shown):
    assert section(shown(200), "cnn14") == [
        "cnn14: Cnn14_mAP=0.431.pth, 327 MB, not here yet",
        "  licence: CC BY 4.0, Qiuqiang Kong et al.",
        f"  md5 {CNN14.md5}, as stated by the publisher",
        f"  sha256 {CNN14.sha256}, as stated by third parties, each of its own download",
        "  https://zenodo.org/record/3987831/files/Cnn14_mAP%3D0.431.pth",
    ]
    assert "  no checksum is published" in section(shown(), "vggsound_resnet18")


def test_the_file_for_vggishs_pca_is_there_with_its_place(shown, cache):
    place = cache / "vggish_pca_params-970ea276.pth"
    expected = [
        "vggish --pca: vggish_pca_params-970ea276.pth, 0.18 MB, not here yet",
        f"  licence: {VGGISH_PCA.licence}",
        "  sha256 begins with 970ea276, as stated by the publisher, in the file's name",
        f"  {VGGISH_PCA.url}",
        "  no option names another file; one that is put here is taken:",
        f"  {place}",
    ]
    assert section(shown(300), "vggish --pca") == expected
    place.write_bytes(b"parameters")
    assert section(shown(300), "vggish --pca")[0] == expected[0].replace("not here yet", "here")


def test_it_reads_well_in_80_columns_and_nothing_is_cut(shown):
    narrow = shown(80)
    assert max(map(len, narrow)) <= 80
    text = "".join(line.removeprefix("  ") for line in narrow)
    for record in encoder_records():
        for file in (*record["checkpoints"], *record["files_of_settings"]):
            assert file["url"] in text and file["file_name"] in text
            assert (file["md5"] or "") in text and (file["sha256"] or "") in text


def test_a_clip_of_the_shortest_length_that_is_shown_is_long_enough(shown):
    lines = shown()
    column = lines[0].index("shortest") + len("shortest")
    shortest = {line.split()[0]: line[:column].rpartition("   ")[2].strip() for line in lines[2 : 2 + len(ENCODERS)]}
    assert (shortest["vggish"], shortest["cnn14"], shortest["clap"]) == ("0.975 s", "0.31 s", "any")
    for name, text in shortest.items():
        samples = float(text.removesuffix(" s")) * ENCODERS[name].sample_rate_hz if text != "any" else 1
        assert ENCODERS[name].min_samples <= samples < ENCODERS[name].min_samples + 48, name


def test_as_json_it_is_everything(cache):
    (vggish,) = [record for record in encoder_records() if record["name"] == "vggish"]
    (pca,) = vggish["files_of_settings"]
    assert (pca["setting"], pca["file_name"], pca["url"]) == ("pca", VGGISH_PCA.file_name, VGGISH_PCA.url)
    assert (pca["sha256"], pca["hash_source"]) == ("970ea276", "the publisher, in the file's name")
    assert (pca["cache_path"], pca["in_cache"]) == (str(cache / VGGISH_PCA.file_name), None)
    (cache / VGGISH_PCA.file_name).write_bytes(b"parameters")
    again = next(record for record in encoder_records() if record["name"] == "vggish")
    assert again["files_of_settings"][0]["in_cache"] == pca["cache_path"]
    others = [record["name"] for record in encoder_records() if record["files_of_settings"]]
    assert others == ["vggish"]
