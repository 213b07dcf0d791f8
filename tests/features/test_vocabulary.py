"""Vocabularies: ids to rows and back, in memory and from files, growing without a row that moves."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features import vocabulary
from features.texts import Texts
from features.vocabulary import RESERVED, UNKNOWN, Lookup, SavedIds, Vocabulary

IDS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8), unique=True, max_size=30)


@given(IDS, IDS, IDS)
def test_saved_ids_answer_as_those_in_memory(ids: list[str], later: list[str], others: list[str]) -> None:
    saved, memory = Vocabulary((), SavedIds.of(ids)), Vocabulary(ids)
    for one, other in ((saved, memory), (saved.extended(later), memory.extended(later))):
        asked = [*ids, *later, *others]
        assert one.rows(asked).tolist() == other.rows(asked).tolist()
        assert list(one.ids) == list(other.ids)
        assert len(one) == len(other)
        assert [one.id_of(row) for row in range(RESERVED, len(one))] == list(other.ids)
        assert [text in one for text in asked] == [text in other for text in asked]
    assert saved.extended(later).rows(ids).tolist() == list(range(RESERVED, RESERVED + len(ids)))


@given(IDS, IDS, IDS)
def test_a_lookup_answers_as_its_vocabulary(ids: list[str], asked: list[str], again: list[str]) -> None:
    vocabulary = Vocabulary(dict.fromkeys(ids))
    lookup = Lookup(vocabulary, [*asked, *again])
    for some in (asked, [*again, *asked], []):
        assert lookup.rows(some).tolist() == vocabulary.rows(some).tolist()


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    ids = [f"item {number} ł" for number in range(100)]
    Vocabulary(ids).save(tmp_path)
    loaded = Vocabulary.load(tmp_path)
    assert list(loaded.ids) == ids
    assert loaded.rows([*ids, "none"]).tolist() == [*range(RESERVED, RESERVED + 100), UNKNOWN]


def test_ids_of_one_hash_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "xxh3_64_intdigest", lambda text: 7)
    Vocabulary(["a", "b", "c"]).save(tmp_path)
    assert Vocabulary.load(tmp_path).rows(["c", "a", "none", "b"]).tolist() == [4, 2, UNKNOWN, 3]


def test_an_id_that_is_no_text_of_unicode_is_unknown(tmp_path: Path) -> None:
    Vocabulary(["a"]).save(tmp_path)
    assert Vocabulary.load(tmp_path).row("\ud800") == UNKNOWN


def test_a_reserved_row_has_no_id(tmp_path: Path) -> None:
    Vocabulary(["a"]).save(tmp_path)
    for row in (0, 1, 3):
        with pytest.raises(IndexError, match="rows run from 2 to 2"):
            Vocabulary.load(tmp_path).id_of(row)
        with pytest.raises(IndexError, match="rows run from 2 to 2"):
            Vocabulary.load(tmp_path).ids_of(np.array([2, row]))


@given(IDS)
def test_texts_are_a_list(ids: list[str]) -> None:
    texts = Texts.of(ids)
    assert list(texts) == ids
    assert texts[1:] == ids[1:]
    assert [texts[place - len(ids)] for place in range(len(ids))] == ids
    assert texts.at(np.arange(len(ids))[::-1]) == ids[::-1]
    with pytest.raises(IndexError, match=f"there are {len(ids)} texts"):
        texts[len(ids)]


def test_rows_are_int64(tmp_path: Path) -> None:
    Vocabulary(["a"]).save(tmp_path)
    assert Vocabulary.load(tmp_path).rows(["a"]).dtype == np.int64
