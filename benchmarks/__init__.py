"""Measurements of Tailorbird: what is claimed of it, and the commands that measured it."""
