"""Alembic's revisions, shipped in the wheel.

HEAD is the newest one, written down so that a start can compare it without loading Alembic.
"""

HEAD = "0012_tokens"
