import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrkit.errors import IntegrityError, UsageError
from atrkit.text.vocabulary import PAD_ID, UNK_ID, Vocabulary

CAPTIONS = ["A dog barks.", "A dog howls!", "rain; rain"]


def test_ids_start_with_the_special_words_and_fall_with_frequency() -> None:
    vocabulary = Vocabulary.from_captions(CAPTIONS)
    assert vocabulary.words == ("<pad>", "<unk>", "a", "dog", "rain", "barks", "howls")
    assert vocabulary.words.index("<pad>") == PAD_ID and vocabulary.words.index("<unk>") == UNK_ID


def test_order_of_the_captions_does_not_matter() -> None:
    vocabularies = {Vocabulary.from_captions(order).words for order in itertools.permutations(CAPTIONS)}
    assert len(vocabularies) == 1


@given(st.lists(st.text(alphabet="abc .,'-", max_size=12), min_size=1))
def test_training_captions_have_no_unknown_word(captions: list[str]) -> None:
    vocabulary = Vocabulary.from_captions(["known", *captions])
    assert not vocabulary.unknown_words(captions)
    assert all(word_id > UNK_ID for caption in captions for word_id in vocabulary.encode(caption))


def test_unknown_words_are_encoded_as_unk_and_counted() -> None:
    vocabulary = Vocabulary.from_captions(CAPTIONS)
    assert vocabulary.encode("A cat barks") == [2, UNK_ID, 5]
    assert vocabulary.unknown_words(["a cat", "cat and dog"]) == {"cat": 2, "and": 1}


def test_special_words_cannot_be_written_in_a_caption() -> None:
    vocabulary = Vocabulary.from_captions([*CAPTIONS, "<pad> <unk>"])
    assert not {PAD_ID, UNK_ID} & set(vocabulary.encode("<pad> <unk>"))


def test_rare_words_are_left_out_on_demand() -> None:
    assert Vocabulary.from_captions(CAPTIONS, min_count=2).words[2:] == ("a", "dog", "rain")


def test_captions_without_words_make_no_vocabulary() -> None:
    with pytest.raises(UsageError, match="no word occurs"):
        Vocabulary.from_captions(["", "..."])


@pytest.mark.parametrize("words", [(), ("a", "b"), ("<unk>", "<pad>"), ("<pad>", "<unk>", "a", "a")])
def test_a_damaged_word_list_is_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(IntegrityError):
        Vocabulary(words)
