"""Judges of the questions of the chapter `beyond_geometry`, by their published tables."""
