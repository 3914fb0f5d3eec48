"""Options that several verbs share."""

import argparse

from factortopy.runs.settings import SETTING


def settings(verb, *names, required=False):
    """Options of these settings of a training, as their rows say."""
    for name in names:
        row = SETTING[name]
        how = {"help": row.help, "dest": name, "required": required}
        if row.kind is bool:
            how |= {"action": "store_const", "const": not row.default}
        else:
            how |= {"metavar": row.metavar} if row.metavar else {"choices": row.choices}
        if row.kind in TYPES:
            how["type"] = TYPES[row.kind](row.least)
        verb.add_argument(row.flag, **how)


def whole_number(least):
    def number(text):
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"expected a whole number from {least} up, found {text}")
        return value

    number.__name__ = "whole number"
    return number


TYPES = {int: whole_number, float: lambda least: float, list: lambda least: lambda text: text.split(",")}


def size_between(low, high):
    def number(text):
        value = float(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"expected {low:g} to {high:g}, found {text}")
        return value

    number.__name__ = "number"
    return number
