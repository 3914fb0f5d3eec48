"""A report of fitted networks: every figure and table with its numbers, and the paper's findings as a checklist."""

__all__ = ["report"]


def __getattr__(name):
    """``report`` itself, with torch and all, when somebody wants it: pages that list reports stay quick."""
    if name != "report":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from factortopy.report.whole import report

    return report
