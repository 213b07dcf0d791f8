"""MovieLens 1M in both its forms becomes tables that load."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from features.config import read_config
from features.errors import DataError
from features.events import Tables
from features.tables import load_tables
from training.importers import import_movielens


@pytest.fixture
def movielens(tmp_path: Path) -> Path:
    source = tmp_path / "ml-1m"
    source.mkdir()
    (source / "users.dat").write_text("1::F::1::10::48067\n2::M::56::16::07007\n")
    movies = "1::Amélie (2001)::Comedy|Romance\n2::\"Crazy\" One: a 'B'::Drama\n3::Empty ()::\n"
    (source / "movies.dat").write_text(movies, encoding="latin-1")
    return source


def imported(source: Path, folder: Path) -> Tables:
    config = read_config(import_movielens(source, folder))
    return load_tables(config.dataset, config.folder)


def test_the_official_form_has_times_and_keeps_the_file_order_within_a_second(movielens: Path, tmp_path: Path) -> None:
    rows = ["1::3::5::978300760", "1::1::3::978302109", "1::2::4::978300760", "2::1::1::978300000"]
    (movielens / "ratings.dat").write_text("\n".join(rows) + "\n")
    tables = imported(movielens, tmp_path / "var")
    events = tables.events
    assert list(events.items[events.item_codes]) == ["3", "2", "1", "1"]
    assert events.moments.tolist() == [978300760000, 978300760000, 978302109000, 978300000000]
    assert events.values.tolist() == [5, 4, 3, 1]
    assert list(tables.items.columns["genres"]) == [["Comedy", "Romance"], ["Drama"], []]
    assert tables.items.titles is not None
    assert list(tables.items.titles) == ["Amélie (2001)", "\"Crazy\" One: a 'B'", "Empty ()"]
    assert list(tables.users.columns["age"]) == ["1", "56"]


@pytest.mark.parametrize("name", ["ratings.parquet", "train.parquet"])
def test_the_copy_has_a_mere_order(movielens: Path, tmp_path: Path, name: str) -> None:
    table = pa.table({"user_id": [1, 1], "item_id": [2, 3], "rating": [4, 5], "position": [1, 0]})
    pyarrow.parquet.write_table(table, movielens / name)
    events = imported(movielens, tmp_path / "var").events
    assert list(events.items[events.item_codes]) == ["3", "2"]
    assert events.moments.tolist() == [0, 1]


def test_the_copy_is_read_without_its_holdout(movielens: Path, tmp_path: Path) -> None:
    for name, items in (("ratings.parquet", [2, 3]), ("train.parquet", [2])):
        columns = {"user_id": 1, "rating": 4, "position": 0}
        table = pa.table({"item_id": items, **{key: [value] * len(items) for key, value in columns.items()}})
        pyarrow.parquet.write_table(table, movielens / name)
    assert len(imported(movielens, tmp_path / "var").events) == 1


def test_a_folder_that_is_no_movielens_is_refused(movielens: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds neither ratings\.dat nor train\.parquet"):
        import_movielens(movielens, tmp_path / "var")
    (movielens / "ratings.dat").write_text("1,3,5,978300760\n")
    with pytest.raises(DataError, match=r"ratings\.dat is no file of MovieLens 1M"):
        import_movielens(movielens, tmp_path / "var")
    (movielens / "ratings.dat").write_text("1::3::five::978300760\n")
    with pytest.raises(DataError, match=r"ratings\.dat is no file of MovieLens 1M"):
        import_movielens(movielens, tmp_path / "var")
    (movielens / "ratings.dat").write_text("1::3::5::978300760\n")
    (movielens / "movies.dat").unlink()
    with pytest.raises(DataError, match=r"there is no .*movies\.dat"):
        import_movielens(movielens, tmp_path / "var")
