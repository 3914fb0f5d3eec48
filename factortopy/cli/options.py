"""Options that several verbs share."""

import argparse


def subject(verb, required=False):
    verb.add_argument(
        "--subject", required=required, metavar="S", help="demo-1, demo-2, demo-3 (simulated) or a data set's folder"
    )
    subject_id(verb)


def subject_id(verb):
    verb.add_argument("--subject-id", metavar="ID", help="which subject, for a folder that holds several (subj05)")


def trials(verb):
    verb.add_argument(
        "--trials", metavar="T",
        help="for NSD: single (default), mean (of a picture's repeats) or paper (single, without the last three sessions)",
    )  # fmt: skip


def backbone(verb, required=False):
    verb.add_argument("--backbone", required=required, metavar="B", help="network: demo-vit, demo-mae, …, timm/NAME")
    verb.add_argument(
        "--weights",
        metavar="FILE",
        help="its weights: a .safetensors or PyTorch file, a folder with one, or the word untrained",
    )


def pca(verb):
    verb.add_argument(
        "--pca", type=whole_number(1), metavar="K",
        help="keep K principal components of each layer's tokens, learnt from training pictures (default: all channels)",
    )  # fmt: skip


def whole_number(least):
    def number(text):
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"expected a whole number from {least} up, found {text}")
        return value

    number.__name__ = "whole number"
    return number


def size_between(low, high):
    def number(text):
        value = float(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"expected {low:g} to {high:g}, found {text}")
        return value

    number.__name__ = "number"
    return number
