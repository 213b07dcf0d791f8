"""Filters: conditions on items in a small language (docs/filters.md), answered with bitmaps of item rows."""

from serving.filters.cache import FilterCache
from serving.filters.evaluation import ItemTable, Past
from serving.filters.filter import Filter, FilterReader, FilterScope, parse_filter

__all__ = ["Filter", "FilterCache", "FilterReader", "FilterScope", "ItemTable", "Past", "parse_filter"]
