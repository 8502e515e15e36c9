"""Scores of written texts against references, from counts that add up: one row of counts for each record."""
