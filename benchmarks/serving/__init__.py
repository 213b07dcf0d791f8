"""Serving under load: the real service, its floor and its stages in one run, at 27,000 and at a million items."""
