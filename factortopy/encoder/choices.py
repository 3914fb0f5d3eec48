"""The names that ``fit`` and the run settings share, told without waiting for torch."""

RECIPES = ("fast", "paper")
MODELS = ("factorized", "classtoken", "patchtoken", "gnetvit", "ridge")
FACTORS = ("space", "layer", "scale")
