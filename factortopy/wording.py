"""How numbers, counts and names from outside are said: durations, sizes, scores, plurals, safe labels."""

from __future__ import annotations

import unicodedata


def score_text(score, digits=3):
    """A mean R² for people: far below 0 it says why instead of how far."""
    return (
        "below −1 (worse than the mean: too few pictures or steps)"
        if score < -1
        else f"{score:.{digits}f}".replace("-", "−")
    )


def duration(seconds):
    """45 s, 3 min, 2 h 5 min."""
    seconds = max(0, round(seconds))
    if seconds < 90:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def rate_text(rate: float) -> str:
    return f"{rate:.1f}" if rate >= 1 else f"{rate:.2g}"


def size_text(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


def shown_path(path):
    """A path or name as one line: folders kept, every part cleaned of control characters and shortened."""
    text = str(path)
    start = "/" if text.startswith("/") else ""
    return start + "/".join(safe_label(part) if part.strip(".") else part for part in text.split("/") if part)


def count(n, noun):
    """1 picture, 2 pictures, 9,841 pictures, 3 vertices."""
    several = "vertices" if noun == "vertex" else f"{noun}s"
    return f"{n:,} {noun if n == 1 else several}"


def first_few(items, most=5):
    """As in: a, b, c, d, e and 7 more."""
    items = [str(item) for item in items]
    rest = len(items) - most
    return ", ".join(items[:most]) + (f" and {rest:,} more" if rest > 0 else "")


def first_words(error, most=300):
    """An error of another library in one line."""
    words = " ".join(str(error).split()) or type(error).__name__
    return words if len(words) <= most else words[:most] + "…"


MAX_LABEL = 80  # letters of a name that are shown


def safe_label(name, longest=MAX_LABEL):
    """A name that came with a file, as one short line for people: no folders, no control or direction marks.

    The last letters (the ending) of a long name stay. What could be markup stays as typed: whoever shows it escapes.
    """
    text = str(name).replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    text = "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in text)
    text = " ".join(text.split())
    if len(text) > longest:
        text = text[: longest - 13] + "…" + text[-12:]
    return text if text.strip(".") else "picture"


PROGRAM = "FactorTopy"
