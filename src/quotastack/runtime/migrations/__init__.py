"""Numbered SQL files, run in order by runtime/migrate.py."""
