"""One training step of the `paper` recipe, ours against the plain reference: time, memory, equal output (synthetic).

Part of benchmarks/encoder.py. Times are taken in turns in this process, memory in a fresh process for each.
"""

import numpy as np
import torch
from torch import nn

from benchmarks.measuring import HONEST_MEMORY, in_child, median_time, peak_above
from benchmarks.plain_encoder import PlainFit, regulariser
from benchmarks.planted_size import Size, planted_size
from factortopy.encoder.model import Factorized
from factortopy.encoder.paper import PaperFit, PaperSettings
from factortopy.encoder.problem import pose
from factortopy.features.extraction import Features
from factortopy.storage.home import home

STEP = Size(64, 12, 768, 5000, decay=1.0)
PLAIN, PAPER = "plain reference", "ours, paper"


def settle(device):
    """Function that waits until the device has done its work."""
    return torch.cuda.synchronize if str(device).startswith("cuda") else lambda: None


def in_memory(features):
    return Features.from_arrays([np.array(t) for t in features.local], [np.array(t) for t in features.global_])


def paper_fit(subject, features, device):
    """Ours, ready to step; selectors scattered over about as many groups of grid cells as the planted ones (35)."""
    settings = PaperSettings()
    problem = pose(subject, features, 8, device, raw=True)
    model = Factorized(problem, settings.dim, 0, unit_variance=False)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        for network in model.selectors.factors.values():
            nn.init.normal_(network[-1].weight)
    return PaperFit(problem, settings, model, 0)


def plain_fit(subject, features, device):
    fit = PlainFit(subject, features, device=device)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        for network in (fit.model.space, fit.model.layer, fit.model.scale):
            nn.init.normal_(network[-1].weight)
    return fit


@torch.no_grad()
def same_parameters(ours, plain):
    """Give the reference our parameters."""
    model, target = ours.model, plain.model
    for name in ("space", "layer", "scale"):
        getattr(target, name).load_state_dict(model.selectors.factors[name].state_dict())
    for kind in ("local", "global_"):
        for linear, weight in zip(getattr(target, kind), getattr(model, kind).maps(), strict=True):
            linear.weight.copy_(weight.T)
    target.channel.weight.copy_(ours.readout.weight)
    target.channel.bias.copy_(ours.readout.bias)


def differences(ours, plain):
    """Largest relative error of the output (without its bias, against its root mean square) and of any gradient
    (against that parameter's largest), at equal parameters, on the same tokens."""
    same_parameters(ours, plain)
    problem, model = ours.problem, ours.model
    trials = problem.train[:8]
    local, global_ = problem.tokens(trials)
    y = ours.readout(model, model.pictures((local, global_)), model.cortex(), None).T
    local = [tokens.view(len(trials), 8, 8, -1) for tokens in local]
    space, layer, scale = plain.model.selectors()
    reference = plain.model(local, global_, (space, layer, scale))
    rms = (reference - plain.model.channel.bias).square().mean().sqrt()
    error = ((y - reference).abs().max() / rms).item()
    answers = problem.answers(trials)
    for fit, output, reg in (
        (ours, y, model.regulariser(model.cortex())),
        (plain, reference, regulariser(layer, scale)),
    ):
        fit.optimiser.zero_grad()
        (nn.functional.smooth_l1_loss(output, answers, beta=0.1) + 0.1 * reg).backward()
    pairs = [(ours.readout.weight.grad, plain.model.channel.weight.grad)]
    for kind in ("local", "global_"):
        linears = zip(getattr(model, kind).weight, getattr(plain.model, kind), strict=True)
        pairs += [(weight.grad, linear.weight.grad.T) for weight, linear in linears]
    for name in ("space", "layer", "scale"):
        both = zip(model.selectors.factors[name].parameters(), getattr(plain.model, name).parameters(), strict=True)
        pairs += [(a.grad, b.grad) for a, b in both]
    gradient = max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)
    return error, gradient


def step_memory(which, size, folder, device):
    """MB above the data that a step needs: its peak, and parameters with the optimiser's two moments. In a child."""
    planted = planted_size(Size(**size), folder=folder)
    fit = (plain_fit if which == PLAIN else paper_fit)(planted.subject, in_memory(planted.features), device)
    for _ in range(2):
        fit.step()
    fit.optimiser.zero_grad()
    held = 3 * sum(p.numel() * 4 for group in fit.optimiser.param_groups for p in group["params"]) / 1e6
    return peak_above(fit.step, device), held


def step(size, device="cpu", rounds=9):
    planted = planted_size(size)
    features = in_memory(planted.features)
    ours, plain = paper_fit(planted.subject, features, device), plain_fit(planted.subject, features, device)
    error, gradient = differences(ours, plain)
    seconds = median_time([plain.step, ours.step], rounds, settle=settle(device))
    table = {}
    for which, time_ in zip((PLAIN, PAPER), seconds, strict=True):
        arguments = {"which": which, "size": vars(size), "folder": str(home() / "bench"), "device": device}
        peak, held = in_child("benchmarks.encoder_step", "step_memory", arguments, **HONEST_MEMORY)
        table[which] = {
            "time of a step, s": time_,
            "peak memory above the data, MB": peak + held,
            "of that parameters and the optimiser's moments, MB": held,
        }
    a, b = table[PLAIN], table[PAPER]
    return {
        "size": str(size).replace("images", "images in memory, batch 8"),
        "times faster": seconds[0] / seconds[1],
        "memory, share of the reference's": b["peak memory above the data, MB"] / a["peak memory above the data, MB"],
        "largest relative error of the output": error,
        "largest relative error of a gradient": gradient,
        **table,
    }
