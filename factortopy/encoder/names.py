"""The names that ``fit`` and the run settings share, at hand without waiting for torch."""

RECIPES = ("fast", "paper", "paper-released")
MODELS = ("factorized", "classtoken", "patchtoken", "gnetvit", "ridge")
FACTORS = ("space", "layer", "scale")
