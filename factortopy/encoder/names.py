"""The names that ``fit`` and the run settings share, at hand without waiting for torch."""

RECIPES = ("fast", "paper")
MODELS = ("factorized", "classtoken", "patchtoken", "gnetvit", "ridge")
FACTORS = ("space", "layer", "scale")
