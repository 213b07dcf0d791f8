"""Ids of people in a table that was just read, replaced by their pseudonyms before anything is made of them."""

import pyarrow as pa

from features.columns import ids_as_codes
from features.pseudonyms import Pseudonyms


def pseudonymised(table: pa.Table, column: str, name: str, where: str, pseudonyms: Pseudonyms | None) -> pa.Table:
    """The table with the ids of a column as pseudonyms; as it is without a key.

    `name` is what the column is called in the file, `where` the key of the configuration that says so. Raises
    `DataError` for what is no id, as `ids_as_codes` does.
    """
    if pseudonyms is None or table.num_rows == 0:
        return table
    ids, codes = ids_as_codes(table[column], name, where)
    distinct = pa.array([pseudonyms.of(one) for one in ids], pa.string())
    return table.set_column(table.schema.get_field_index(column), column, distinct.take(pa.array(codes)))
