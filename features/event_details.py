"""Numbers that an event may carry beside its value, by the names that requests, state, exports and tables all use."""

from typing import Literal, TypeAlias, get_args

Detail: TypeAlias = Literal["dwell", "price", "quantity", "position"]
"""Seconds that the item was looked at, money for one piece, pieces, and the slot of the list, from 1."""
DETAILS: tuple[Detail, ...] = get_args(Detail)
