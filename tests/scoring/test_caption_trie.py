"""The trie against what it stands for: the set of all beginnings of the captions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrkit.errors import UsageError
from atrkit.scoring.caption_trie import CaptionTrie, build_caption_trie

BOS, EOS = 2, 3
# few words, so that many captions begin alike; 1 is <unk>, which sorts before <eos>
WORDS = st.lists(st.sampled_from([1, 4, 5]), min_size=1, max_size=7)
CAPTIONS = st.lists(WORDS.map(lambda words: [BOS, *words, EOS]), min_size=1, max_size=30)


def prefix_of(trie: CaptionTrie, slot: int) -> tuple[int, ...]:
    """Words of a slot, by climbing to the root."""
    words: list[int] = []
    while slot >= 0:
        words.append(int(trie.token_N[slot]))
        slot = int(trie.parent_N[slot])
    return tuple(reversed(words))


def blocks_of(trie: CaptionTrie) -> list[range]:
    return [range(*trie.first_slot_K1[block : block + 2]) for block in range(trie.num_blocks)]


@given(CAPTIONS, st.integers(2, 40))
def test_edges_of_each_caption_spell_it(captions: list[list[int]], block_slots: int) -> None:
    trie = build_caption_trie(captions, block_slots=block_slots)
    for caption, distinct in zip(captions, trie.distinct_C, strict=True):
        steps = trie.edge_of_step_S[slice(*trie.first_step_U1[distinct : distinct + 2])]
        assert [BOS, *trie.edge_target_E[steps]] == caption
        slots = trie.edge_slot_E[steps]
        assert [prefix_of(trie, slot) for slot in slots] == [tuple(caption[: n + 1]) for n in range(len(slots))]


@given(CAPTIONS, st.integers(2, 40))
def test_a_block_holds_each_prefix_once_and_whole_captions(captions: list[list[int]], block_slots: int) -> None:
    trie = build_caption_trie(captions, block_slots=block_slots)
    for number, block in enumerate(blocks_of(trie)):
        prefixes = [prefix_of(trie, slot) for slot in block]
        assert len(set(prefixes)) == len(block)
        assert [len(prefix) - 1 for prefix in prefixes] == trie.depth_N[block].tolist()
        assert all(block.start <= trie.parent_N[slot] < slot for slot in block if trie.depth_N[slot])
        edges = [pair for pair in zip(trie.edge_slot_E, trie.edge_target_E, strict=True) if pair[0] in block]
        assert len(set(edges)) == len(edges)
        owned = range(*trie.first_caption_K1[number : number + 2])
        steps = trie.edge_of_step_S[slice(*trie.first_step_U1[[owned.start, owned.stop]])]
        assert set(trie.edge_slot_E[steps]) == set(block)
        assert len(block) <= block_slots or len(owned) == 1


@given(CAPTIONS, st.integers(2, 40))
def test_the_mask_says_who_begins_whom(captions: list[list[int]], block_slots: int) -> None:
    trie = build_caption_trie(captions, block_slots=block_slots)
    for number, block in enumerate(blocks_of(trie)):
        prefixes = [prefix_of(trie, slot) for slot in block]
        expected = [[row[: len(column)] == column for column in prefixes] for row in prefixes]
        assert trie.ancestor_mask(number).tolist() == expected


@given(CAPTIONS)
def test_counts_of_positions_and_of_slots(captions: list[list[int]]) -> None:
    trie = build_caption_trie(captions, block_slots=10_000)
    prefixes = {tuple(caption[:n]) for caption in captions for n in range(1, len(caption))}
    assert trie.num_slots == len(prefixes)
    assert trie.num_positions == sum(len(caption) - 1 for caption in captions)
    assert trie.num_distinct == len({tuple(caption) for caption in captions})
    # an edge leads to each prefix but <bos>, and one to the end of each caption
    assert len(trie.edge_slot_E) == len(prefixes) - 1 + trie.num_distinct


@given(CAPTIONS, st.integers(2, 40), st.randoms())
def test_order_and_duplicates_change_only_the_table_of_captions(captions, block_slots, random) -> None:
    shuffled = [*captions, *captions[:3]]
    random.shuffle(shuffled)
    one, other = (build_caption_trie(some, block_slots=block_slots) for some in (captions, shuffled))
    for name, values in vars(one).items():
        if name != "distinct_C":
            np.testing.assert_array_equal(values, getattr(other, name), err_msg=name)
    number_of = {tuple(caption): number for caption, number in zip(captions, one.distinct_C, strict=True)}
    assert other.distinct_C.tolist() == [number_of[tuple(caption)] for caption in shuffled]


def test_neighbours_fill_a_block_before_the_next_begins() -> None:
    captions = [[BOS, 4, word, EOS] for word in range(10, 18)]
    trie = build_caption_trie(captions, block_slots=6)  # <bos>, word 4, and four of the eight
    assert np.diff(trie.first_slot_K1).tolist() == [6, 6]


def test_a_caption_longer_than_a_block_has_one_of_its_own() -> None:
    long = [BOS, 5, *[6] * 200, EOS]
    trie = build_caption_trie([[BOS, 4, EOS], long, [BOS, 5, 6, EOS], [BOS, 7, EOS]])
    assert sorted(np.diff(trie.first_slot_K1).tolist()) == [2, 4, 202]


def test_no_captions_are_refused() -> None:
    with pytest.raises(UsageError, match="no caption"):
        build_caption_trie([])
