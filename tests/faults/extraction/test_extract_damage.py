"""FAULTS.md row 6 around shards: a damaged part, plan or store is named, with the command that makes it again."""

import json
import shutil

import pytest

LOGMEL = ("extract", "--encoder", "logmel")
SHARDS = [(*LOGMEL, "--shard", "1/2"), (*LOGMEL, "--shard", "2/2")]
MERGE = (*LOGMEL, "--merge")
RECIPE = """\
source: ours, small enough for a test
encoder: {name: logmel}
model: {name: ridge}
"""


@pytest.fixture
def cut(mine, digests):
    """Both shards are made and not merged yet; what their merge must come to."""
    mine(*LOGMEL)
    expected = digests(mine.workspace)
    shutil.rmtree(mine.workspace / "embeddings")
    for words in SHARDS:
        mine(*words)
    return expected


def flip(path, where):
    content = bytearray(path.read_bytes())
    content[int(where * len(content))] ^= 1
    path.write_bytes(content)


def truncate(path, kept):
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])


@pytest.mark.parametrize("damage", [flip, truncate])
@pytest.mark.parametrize("where", [0, pytest.param(0.5, marks=pytest.mark.faults), 0.99])
def test_a_damaged_part_is_named_and_its_shard_makes_it_again(mine, cut, digests, damage, where):
    part = sorted(mine.workspace.rglob("part-*.h5"))[2]
    damage(part, where)
    for words in (MERGE, LOGMEL):
        message = mine.error(*words, code=5)
        assert f"{part} is damaged: delete it and run the same command again" in message
        assert not (mine.workspace / "embeddings" / "mine" / "logmel.h5").exists()
    part.unlink()
    assert "1 of 4 parts are missing" in mine.error(*MERGE, code=3)
    mine(*SHARDS[0])
    mine(*MERGE)
    assert digests(mine.workspace) == cut


def test_a_part_of_another_dataset_in_the_place_of_a_part_is_refused(mine, cut):
    first, second, *_ = sorted(mine.workspace.rglob("part-*.h5"))
    shutil.copy(first, second)
    assert f"{second} is a part of another plan" in mine.error(*MERGE, code=5)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"clips": 1}', b"\xff\xfe"])
def test_a_damaged_plan_is_named_by_whoever_reads_it(mine, cut, digests, content):
    (plan,) = mine.workspace.rglob("plan.json")
    plan.write_bytes(content)
    for words in (MERGE, LOGMEL, SHARDS[0]):
        message = mine.error(*words, code=5)
        assert str(plan.parent) in message and "plan.json is damaged" in message
        assert ("delete the folder" if words == SHARDS[0] else "--overwrite") in message
    message = mine.error("info", "--store", plan.parent, code=5)
    assert str(plan) in message
    mine(*LOGMEL, "--overwrite")
    assert digests(mine.workspace) == cut


def test_a_plan_whose_settings_were_edited_makes_no_mixture(mine, cut):
    (plan,) = mine.workspace.rglob("plan.json")
    record = json.loads(plan.read_text())
    record["provenance"]["settings"]["pool_time_s"] = 0.64
    plan.write_text(json.dumps(record))
    assert "is a part of another plan" in mine.error(*MERGE, code=5)
    assert "settings.pool_time_s is 0.64 there and 0.32 now" in mine.error(*LOGMEL, code=5)


@pytest.mark.parametrize("damage", [flip, truncate])
@pytest.mark.parametrize("where", [pytest.param(0, marks=pytest.mark.faults), 0.5, 0.999])
def test_a_damaged_store_is_named_by_every_command(mine, damage, where):
    mine(*LOGMEL)
    recipe = mine.workspace / "recipe.yaml"
    recipe.write_text(RECIPE)
    mine("train", recipe)
    store = mine.workspace / "embeddings" / "mine" / "logmel.h5"
    damage(store, where)
    for words in (
        LOGMEL,
        (*LOGMEL, "--merge"),
        (*LOGMEL, "--shard", "1/2"),
        ("train", recipe, "--name", "other"),
        ("eval",),
        ("info", "--store", store),
    ):
        message = mine.error(*words, code=5)
        assert str(store) in message and "atrkit extract --encoder logmel --overwrite" in message, words
    mine(*LOGMEL, "--overwrite")
    mine("eval")


def test_a_store_of_another_encoder_under_this_name_is_refused(mine, cnn10):
    mine(*LOGMEL)
    mine(*cnn10)
    folder = mine.workspace / "embeddings" / "mine"
    shutil.copy(folder / "logmel.h5", folder / "cnn10.h5")
    message = mine.error(*cnn10, code=5)
    assert str(folder / "cnn10.h5") in message and " there and " in message
    (mine.workspace / "recipe.yaml").write_text(RECIPE.replace("logmel", "cnn10"))
    assert str(folder / "cnn10.h5") in mine.error("train", mine.workspace / "recipe.yaml", code=5)
