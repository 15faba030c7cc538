"""Watchtower: a rulebook for revenue operations that runs, with AI below the rules."""

__version__ = "0.1.0"
