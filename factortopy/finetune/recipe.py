"""What a fine-tuning is asked for: the paper's recipe as defaults, and the check of every setting."""

from factortopy.errors import InputError

# As in the short paper: AdamW, whole network, 50 pictures a class; what it does not say is our choice (docs/finetune.md).
DEFAULTS = {
    "backbone": None, "weights": None, "images": None, "name": None, "steps": 3000, "per_class": 50, "test_per_class": 100,
    "layer": None, "lr": 3e-5, "weight_decay": 0.01, "batch": 4, "seed": 0,
}  # fmt: skip
WHOLE = (
    ("steps", 1, 1_000_000),
    ("per_class", 1, 100_000),
    ("test_per_class", 1, 100_000),
    ("batch", 1, 1024),
    ("seed", 0, 2**31),
)
REAL = (("lr", 1e-8, 1.0), ("weight_decay", 0.0, 1.0))


def check_settings(settings):
    """Complete settings of a fine-tuning.

    Keys: backbone and weights as ``load_backbone`` takes them, images (folder), name (what the data set is called; its folder's
    name when None), steps, per_class (pictures a class to train on), test_per_class (held out, at most), layer (1 … L that the
    head reads; None the last), lr, weight_decay, batch, seed.

    Raises
    ------
    InputError
        Naming the setting.
    """
    unknown = sorted(set(settings) - set(DEFAULTS))
    if unknown:
        raise InputError(f"settings: {unknown[0]!r} is not one of {', '.join(DEFAULTS)}")
    full = {**DEFAULTS, **{key: value for key, value in settings.items() if value is not None}}
    for key, least, most in (*WHOLE, *((("layer", 1, 10_000),) if full["layer"] is not None else ())):
        value = full[key]
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise InputError(f"{key}: expected a whole number from {least} to {most:,}, found {value!r}")
    for key, least, most in REAL:
        value = full[key]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
            raise InputError(f"{key}: expected a number from {least:g} to {most:g}, found {value!r}")
    for key in ("backbone", "weights", "images", "name"):
        full[key] = None if full[key] is None else str(full[key])
    return full


def needed(settings):
    """The same, with network and pictures named."""
    full = check_settings(settings)
    for key, words in (("backbone", "a network (--backbone)"), ("images", "a folder of pictures by class (--images)")):
        if not full[key]:
            raise InputError(f"{key}: expected {words}, found none; give one")
    return full
