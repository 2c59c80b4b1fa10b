import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from atrkit.datasets.audiocaps.pools import POOLS, cover_pool, published_pool, read_pool
from atrkit.datasets.audiocaps.tables import AudioCapsClip, read_audiocaps
from atrkit.errors import IntegrityError, UsageError

CSV = Path(__file__).resolve().parents[4] / "shared" / "data" / "csv"
needs_official = pytest.mark.skipif(not CSV.is_dir(), reason="needs the tables in ../shared")
IDS = frozenset({"-rain_1_30_", "Ybell______"})


@pytest.fixture
def pool_file(tmp_path: Path):
    def write(data: str | bytes, name: str = "pool") -> Path:
        path = tmp_path / name
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    return write


@needs_official
@pytest.mark.parametrize(("name", "path"), [("957", "audiocaps_mei/test.csv"), ("975", "audiocaps/test.csv")])
def test_the_published_lists_that_are_here_have_their_size_and_md5(name, path):
    pool = published_pool(name)
    ids = read_pool(CSV / path, pool)
    assert len(ids) == pool.clips == int(name)
    assert hashlib.md5((CSV / path).read_bytes()).hexdigest() == pool.md5


@needs_official
def test_every_clip_of_957_is_in_the_official_test_set():
    clips = read_audiocaps(CSV / "audiocaps" / "test.csv")
    ids = read_pool(CSV / "audiocaps_mei" / "test.csv")
    coverage = cover_pool(ids, clips, {clip.id for clip in clips[:100]})
    assert coverage.unknown == ()
    assert len(coverage.present) + len(coverage.absent) == 957
    assert set(coverage.present) == {clip.id for clip in clips[:100] if clip.youtube_id in ids}


@pytest.mark.parametrize(
    "text",
    [
        "-rain_1_30_\nYbell______\n",
        "# my pool\n\n-rain_1_30_  \r\nYbell______\r\n",
        "Y-rain_1_30_.wav\nYYbell______.wav\n",
        "-rain_1_30__30000\nYbell_______0\n",
        "-rain_1_30__30.flac\nYbell_______0.flac",
        "\ufeff-rain_1_30_\nYbell______\n",
        "file_name,caption_1\nY-rain_1_30_.wav,Rain\nYYbell______.wav,A bell\n",
        'audiocap_id,youtube_id,caption\n1,-rain_1_30_,"Rain, heavy"\n2,-rain_1_30_,R\n3,Ybell______,\n',
        'losses,fname,cands\n"[1, 2]",-rain_1_30__30.flac,"a\nb"\n"[]",Ybell_______0.flac,x\n',
        "youtube_id\n-rain_1_30_\nYbell______\n",
        "youtube_id;n\n-rain_1_30_;1\nYbell______;2\n",
        "youtube_id\tn\n-rain_1_30_\t1\nYbell______\t2\n",
        json.dumps(["-rain_1_30_", "Ybell______"]),
        json.dumps({"-rain_1_30_": "Rain", "Ybell______": "Bell"}),
        json.dumps({"data": [{"wav": "x/Y-rain_1_30_.wav"}, {"wav": "x/YYbell______.wav"}]}),
    ],
)
def test_a_list_in_any_usual_form_is_read(pool_file, text):
    assert read_pool(pool_file(text)) == IDS


def test_a_list_in_an_archive_is_read_without_extracting(pool_file, tmp_path):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for name, text in (
            ("../../evil.csv", "x"),
            ("AudioCaps_retrieval_dataset/retrieval_train.csv", "youtube_id\nxxxxxxxxxxx\n"),
            (
                "AudioCaps_retrieval_dataset/retrieval_test.csv",
                "audiocap_id,youtube_id\n1,-rain_1_30_\n2,Ybell______\n",
            ),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    path = pool_file(data.getvalue())
    assert read_pool(path) == IDS
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(UsageError, match="cannot read the pool"):
        read_pool(pool_file(data.getvalue()[:-40]))


def test_an_enormous_list_in_an_archive_is_not_read(pool_file):
    member = tarfile.TarInfo("retrieval_test.csv")
    member.size = 65 << 20
    path = pool_file(member.tobuf())
    os.truncate(path, 512 + member.size + 1024)  # zeros, which take no room on the disk
    with pytest.raises(UsageError, match=r"no retrieval_test\.csv in this archive"):
        read_pool(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("-rain_1_30_\nthunder\n", r"pool:2: 'thunder' is no YouTube id"),
        ("youtube_id,n\n-rain_1_30_,1\n--exec rm x,2\n", r"pool:3: '--exec rm x' is no YouTube id"),
        ("", "no YouTube ids in it"),
        ("youtube_id\n", "no YouTube ids in it"),
        ("[1, 2]", "item 1: '1' is no YouTube id"),
        ('{"data": 5}', "no list of ids"),
        ("[", "not the JSON that it begins like"),
        ("[" * 100_000, "not the JSON that it begins like"),
        (b"\xff\xfe\x00", "not UTF-8"),
    ],
)
def test_what_is_no_list_is_named_by_its_place(pool_file, data, message):
    with pytest.raises(UsageError, match=message):
        read_pool(pool_file(data))


def test_a_list_of_another_size_is_not_the_pool(pool_file):
    with pytest.raises(IntegrityError, match=r"has 2 clips, and pool 816 has 816"):
        read_pool(pool_file("-rain_1_30_\nYbell______\n"), published_pool("816"))


def test_a_pool_that_is_not_published_is_refused_with_those_that_are():
    with pytest.raises(UsageError, match="816, 883, 912, 957, 975"):
        published_pool("1000")


def test_every_pool_says_where_it_comes_from_and_where_its_list_is():
    for name, pool in POOLS.items():
        assert (pool.name, pool.clips) == (name, int(name))
        assert "\n" not in pool.source
        assert (pool.url is None) == (pool.without_list is not None) == (pool.file_name is None)
        assert pool.url is None or pool.url.startswith("https://")


def test_how_much_of_a_pool_is_there():
    rain, bell, dog = (AudioCapsClip(letter * 11, "30", ()) for letter in "rbd")
    coverage = cover_pool({"r" * 11, "b" * 11, "x" * 11}, [dog, bell, rain], {rain.id, dog.id})
    assert (coverage.present, coverage.absent, coverage.unknown) == ((rain.id,), (bell.id,), ("x" * 11,))
