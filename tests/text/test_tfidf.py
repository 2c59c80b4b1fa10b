"""Stemmed TF-IDF against scikit-learn's."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from atrkit.text.normalise import words_of
from atrkit.text.tfidf import TfIdf, stem

CAPTIONS = ["A dog barks; dogs are barking.", "rain falls on a roof", "a man speaks while it rains", "Birds sing!"]


def sklearn_oracle(captions):
    return TfidfVectorizer(analyzer=lambda text: [stem(word) for word in words_of(text)]).fit(captions)


def test_it_equals_scikit_learn_over_the_same_stems():
    oracle, ours = sklearn_oracle(CAPTIONS), TfIdf.fit(CAPTIONS)
    assert ours.stems == tuple(oracle.get_feature_names_out())
    queries = [*CAPTIONS, "a bird in the rain", "nothing known"]
    np.testing.assert_allclose(ours.embed(queries), oracle.transform(queries).toarray(), atol=1e-12)


@given(st.lists(st.text("abc ", min_size=1), min_size=1, max_size=5))
def test_any_words_give_rows_of_length_one_or_zero(captions):
    norms = np.linalg.norm(TfIdf.fit(captions).embed(captions), axis=1)
    assert all(np.isclose(norm, 1) or norm == 0 for norm in norms)


def test_forms_of_a_word_meet():
    tfidf = TfIdf.fit(CAPTIONS)
    one, other = tfidf.embed(["barking dog", "dogs bark"])
    np.testing.assert_allclose(one, other)
