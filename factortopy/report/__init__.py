"""A report of fitted networks: every figure and table with its numbers, and the paper's findings as a checklist."""

from factortopy.report.command import report

__all__ = ["report"]
