"""``python -m factortopy finetune``."""

from types import SimpleNamespace

from factortopy.errors import InputError


def add(verbs):
    """The verb's options."""
    from factortopy.finetune.recipe import DEFAULTS

    verb = verbs.add_parser(
        "finetune",
        help="train a network on labelled pictures, to fit it to the brain before and after",
        description="Train a whole network, with a linear head on one of its layers, to name the classes of labelled pictures: a folder "
        "of class folders (EuroSAT, ISIC), or pictures with a CSV table of labels. DIR/finetuned.safetensors is the network: train "
        "--backbone B --weights DIR/finetuned.safetensors. Ctrl-C stops and keeps what was learnt; --resume goes on.",
    )
    verb.add_argument("--backbone", metavar="B", help="network: demo-vit, dinov2-b, timm/NAME, …")
    verb.add_argument(
        "--weights", metavar="FILE", help="weights to begin with, or the word untrained (default: as published)"
    )
    verb.add_argument(
        "--images",
        metavar="DIR",
        help="pictures by class; the word drawings: 11 classes rendered by FactorTopy into OUT/drawings",
    )
    verb.add_argument("--out", required=True, metavar="DIR", help="folder for the result")
    for name, kind, words in (
        ("steps", int, "optimiser steps"), ("per-class", int, "pictures a class to train on"),
        ("test-per-class", int, "held-out pictures a class, at most"), ("layer", int, "layer that the head reads, from 1"),
        ("lr", float, "learning rate"), ("weight-decay", float, "weight decay"), ("batch", int, "pictures a step"),
        ("seed", int, "seed of everything random"),
    ):  # fmt: skip
        own = DEFAULTS[name.replace("-", "_")]
        verb.add_argument(
            f"--{name}", type=kind, metavar="N", help=f"{words} (default {'the last' if own is None else own})"
        )
    verb.add_argument("--name", metavar="WORDS", help="what the data set is called (default: its folder's name)")
    verb.add_argument("--resume", action="store_true", help="go on with the unfinished fine-tuning that DIR holds")
    verb.set_defaults(function=finetune)


def finetune(args):
    """Fine-tune; progress on standard output. 0, or 128 + n after signal n."""
    from factortopy.cli.progress import Ticker
    from factortopy.finetune.recipe import DEFAULTS
    from factortopy.finetune.training import finetune
    from factortopy.runs.attempt import signals

    asked = {key: getattr(args, key) for key in DEFAULTS if getattr(args, key, None) is not None}
    images = asked.pop("images", None)
    ticker, wish = Ticker(), SimpleNamespace(signal=None)

    def on_progress(progress):
        ticker(progress)
        return wish.signal is None

    try:
        with signals(wish):
            result = finetune(
                asked.pop("backbone", None), images, args.out, asked, on_progress, args.resume, ticker.say
            )
    finally:
        ticker.finish()
    if not result.finished:
        print(f"{result.path}: stopped; go on with finetune --out {result.path} --resume")
        return 128 + wish.signal if wish.signal else 0
    if not result.info:
        raise InputError(
            f"{result.path}: expected finetuned.json to say what was done, found nothing; begin again in another folder"
        )
    for line in summary(result.info):
        print(line)
    return 0


def summary(info):
    """Lines for a terminal: accuracy before and after, by class."""
    before, after = info["accuracy"]["before"], info["accuracy"]["after"]
    width = max(map(len, [*after["classes"], "all"]))
    lines = ["rendered pictures (drawings): not to be compared with photographs"] if info.get("simulated") else []
    lines += [
        f"{info['base']} on {info['data']}, head on layer {info['layer']} of {info['layers']}; {info['held_out_pictures']} held-out "
        f"pictures, {info['chance']:.0%} by chance",
        f"{'class'.ljust(width)}  before  after",
    ]
    rows = {"all": (before["all"], after["all"])} | {
        name: (before["classes"][name], share) for name, share in after["classes"].items()
    }
    return lines + [f"{name.ljust(width)}  {a:6.1%}  {b:5.1%}" for name, (a, b) in rows.items()]
