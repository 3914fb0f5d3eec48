"""Words that several pages use: terms that are explained where they stand, how a status is called, text from outside."""

TERMS = {
    "R²": "Brain score R²: share of a place's response to new pictures that the encoder predicts. 1 is perfect, 0 is no "
    "better than the mean, below 0 is worse.",
    "noise ceiling": "The best R² that any model could reach, given how noisy the measurement is.",
    "Algonauts 2023": "Metric of the Algonauts 2023 challenge as published: the median over vertices of r² / noise ceiling, r below 0 "
    "counting 0, at most 1, a ceiling of 0 counting 1e-14. With few test pictures chance alone makes it high.",
    "layer": "Networks work in layers, one after the other. The map shows the one with the largest weight at each place.",
    "confidence": "1: one layer alone is used. 0: all layers are used alike, so the layer's colour means nothing.",
    "scale": "0: a detail of the picture (local token). 1: the picture as a whole (global token).",
    "vertex": "One point of the cortical surface. The demo's surface has a point every 3 mm or so.",
    "above chance": "Test pictures are shuffled 1,000 times; a place is painted when its prediction beats the shuffled ones "
    "(false discovery rate 5 %). Films are compared in a way that keeps them as slow as they are.",
}  # fmt: skip
STATUS_WORDS = {
    "queued": "waiting", "running": "training", "stopping": "stopping", "stopped": "stopped", "finished": "finished",
    "interrupted": "interrupted", "failed": "failed", "unreadable": "cannot be read", "deleted": "deleted",
}  # fmt: skip


def plain(text):
    """Text from outside, shown as typed: Markdown's signs lose their meaning."""
    return "".join(f"\\{c}" if c in r"\`*_{}[]()#+-.!|<>~$:" else c for c in str(text))


def sentence(notice):
    """A notice, which the library words as a part of a sentence, as one of its own."""
    return plain(notice[:1].upper() + notice[1:].rstrip(".")) + "."
