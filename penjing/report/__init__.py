"""Scores, findings, tables and figures as plain text, JSON and one HTML file that works offline."""
