import csv
import hashlib
from pathlib import Path

import pytest

from atrkit.datasets.aac_tables import clotho_subset
from atrkit.datasets.clotho.layout import clip_id
from atrkit.datasets.clotho.tables import ClothoRow, ClothoTable, read_clotho
from atrkit.datasets.manifest import Caption, Clip, Dataset, load_dataset, save_dataset
from atrkit.errors import UsageError

OFFICIAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "csv" / "clotho"
needs_official = pytest.mark.skipif(not OFFICIAL.is_dir(), reason="../shared/data/csv/clotho is not here")

CAPTIONS = "file_name,caption_1,caption_2\n"
METADATA = "file_name,keywords,sound_id,sound_link,start_end_samples,manufacturer,license\n"
LICENCE = "http://creativecommons.org/licenses/by/3.0/"


@pytest.fixture
def read(tmp_path):
    def read(captions, metadata=None, encoding="latin-1"):
        (tmp_path / "captions.csv").write_text(CAPTIONS + captions, encoding="utf-8")
        if metadata is None:
            return read_clotho(tmp_path / "captions.csv")
        (tmp_path / "metadata.csv").write_text(METADATA + metadata, encoding=encoding)
        return read_clotho(tmp_path / "captions.csv", tmp_path / "metadata.csv")

    return read


def test_captions_and_metadata_are_joined_by_name(read):
    table = read(
        'a.wav,A  dog barks ,"Rain, ""heavy"""\n b&amp;c #1.wav,Wind,Storm\n',
        f' b&amp;c #1.wav,wind;storm,7,https://freesound.org/x,"[1024, 845524]",Zoë,{LICENCE}\n'
        f"a.wav,dog,Not found,NA,,NA,{LICENCE}\n",
    )
    unknown = {"freesound_id": None, "link": None, "start_end_samples": None}
    assert table.rows == (
        ClothoRow(
            "a.wav",
            ("A  dog barks ", 'Rain, "heavy"'),
            {"keywords": ["dog"], **unknown, "manufacturer": "NA", "licence": LICENCE},
        ),
        ClothoRow(
            " b&amp;c #1.wav",
            ("Wind", "Storm"),
            {
                "keywords": ["wind", "storm"],
                "freesound_id": 7,
                "link": "https://freesound.org/x",
                "start_end_samples": [1024, 845524],
                "manufacturer": "Zoë",
                "licence": LICENCE,
            },
        ),
    )


def test_captions_alone(read):
    assert read("a.wav,Rain,Wind\n") == ClothoTable((ClothoRow("a.wav", ("Rain", "Wind"), None),))


def test_rows_of_only_one_table_are_listed(read):
    table = read("a.wav,Rain,Wind\nb.wav,Rain,Wind\n", f"b.wav,rain,1,x,,LG,{LICENCE}\nc.wav,rain,2,x,,LG,{LICENCE}\n")
    assert [row.file_name for row in table.rows] == ["a.wav", "b.wav"]
    assert (table.without_metadata, table.metadata_only) == (("a.wav",), ("c.wav",))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
@pytest.mark.parametrize("name", ["Oscar de Ávila", "Ængström", "Señor Müller", "a byte \x81 of no letter", "plain"])
def test_either_encoding_of_the_metadata(read, encoding, name):
    table = read("a.wav,Rain,Wind\n", f"a.wav,rain,1,x,,{name},{LICENCE}\n", encoding)
    assert table.rows[0].metadata["manufacturer"] == name
    assert table.notes == (("a byte order mark was skipped",) if encoding == "utf-8-sig" else ())


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.wav,rain,seven,x,,LG,by", "metadata.csv:2: column 'sound_id': 'seven' is no number"),
        ("a.wav,rain,7,x,0-12,LG,by", "metadata.csv:2: column 'start_end_samples': '0-12' is not like [1024, 845524]"),
        ("a.wav,rain,7,x,,LG", "metadata.csv:2: column 'license' is missing"),
        ("a.wav,rain,7,x,,LG,by\na.wav,rain,7,x,,LG,by", "metadata.csv:3: column 'file_name': 'a.wav' occurs a second"),
    ],
)
def test_faults_of_the_metadata_are_named_by_their_place(read, row, message):
    with pytest.raises(UsageError) as caught:
        read("a.wav,Rain,Wind\n", row + "\n")
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_metadata_without_a_column(tmp_path):
    (tmp_path / "captions.csv").write_text(CAPTIONS + "a.wav,Rain,Wind\n")
    (tmp_path / "metadata.csv").write_text("file_name,keywords\na.wav,rain\n")
    with pytest.raises(UsageError, match=r"metadata.csv:1: there is no column 'sound_id'"):
        read_clotho(tmp_path / "captions.csv", tmp_path / "metadata.csv")


@needs_official
@pytest.mark.parametrize(
    ("version", "subset", "clips"),
    [("v2.1", "dev", 3839), ("v2.1", "val", 1045), ("v2.1", "eval", 1045), ("v1", "eval", 1045), ("v1", "dev", 2893)],
)
def test_the_official_tables(version, subset, clips):
    published = clotho_subset(version, subset)
    folder = OFFICIAL / "v1" if (version, subset) == ("v1", "dev") else OFFICIAL
    captions, metadata = folder / published.captions.name, folder / published.metadata.name
    assert hashlib.md5(captions.read_bytes()).hexdigest() == published.captions.md5
    table = read_clotho(captions, metadata if metadata.is_file() else None)
    assert len(table.rows) == len({row.file_name for row in table.rows}) == clips
    assert {len(row.captions) for row in table.rows} == {5}
    assert (table.without_metadata, table.metadata_only) == ((), ())
    if metadata.is_file():
        licences = {row.metadata["licence"] for row in table.rows}
        assert len(licences) == 4 and all(licence.startswith("http://creativecommons.org/") for licence in licences)
        assert all(row.metadata["keywords"] and row.metadata["manufacturer"] for row in table.rows)
        known = [row.metadata["freesound_id"] for row in table.rows if row.metadata["freesound_id"] is not None]
        assert len(table.rows) - 8 <= len(known) < len(table.rows)


@needs_official
def test_the_official_tables_survive_the_manifest(tmp_path):
    clips = []
    for subset in ("dev", "val", "eval"):
        published = clotho_subset("v2.1", subset)
        table = read_clotho(OFFICIAL / published.captions.name, OFFICIAL / published.metadata.name)
        for row in table.rows:
            own_id = clip_id("v2.1", subset, row.file_name)
            captions = tuple(Caption(f"{own_id}#{k}", text) for k, text in enumerate(row.captions, start=1))
            facts = {"sha256": "0", "sample_rate_hz": 44100, "frames": 1, "channels": 1}
            clips.append(Clip(own_id, row.file_name, split=subset, captions=captions, metadata=row.metadata, **facts))
    folder = tmp_path / "clotho"
    folder.mkdir()
    save_dataset(Dataset("clotho", tuple(clips), folder))
    loaded = {clip.id: clip for clip in load_dataset(folder).clips}
    assert loaded == {clip.id: clip for clip in clips}

    assert len(loaded) == 3839 + 1045 + 1045
    assert loaded["development/Boats stranded on jetty.wav"].metadata["manufacturer"] == "Oscar de Ávila"
    assert loaded["development/ typical neighborhood in Porto.wav"].path == " typical neighborhood in Porto.wav"
    # the same by Python's own reader, which is lenient but no less right on a table that is well formed
    with (OFFICIAL / "clotho_captions_validation.csv").open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            texts = [line[f"caption_{k}"] for k in range(1, 6)]
            assert [caption.text for caption in loaded[f"validation/{line['file_name']}"].captions] == texts
