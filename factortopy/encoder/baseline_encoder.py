"""A fitted baseline: predicts responses as an ``Encoder`` does, and has no selectors."""

import numpy as np

from factortopy.encoder.encoder import Encoder
from factortopy.errors import InputError

WHAT = {"classtoken": "class-token", "patchtoken": "patch-token", "gnetvit": "GNet", "ridge": "pooled-ridge"}


class BaselineEncoder(Encoder):
    """What ``fit`` leaves for ``model="classtoken"``, ``"patchtoken"``, ``"gnetvit"`` or ``"ridge"``.

    ``info["model"]`` names it, ``info["channels"]`` the channels of each layer; ``tensors``, {name: array}, hold all that
    it learnt, (N, …) "weight" and (N,) "bias" among them.
    """

    has_selectors = False

    def __init__(
        self, tensors, hemi, vertex, layer_names, grid, density="10k", info=None, rois=None, noise_ceiling=None,
        maps=None,
    ):  # fmt: skip
        super().__init__(
            None, None, tensors["bias"], hemi, vertex, layer_names, grid, density, info, rois, noise_ceiling, maps
        )
        self.tensors = tensors

    @classmethod
    def of(
        cls, model, problem, weight, bias, hemi, vertex, layer_names, grid, density="10k", info=None, rois=None,
        noise_ceiling=None, maps=None,
    ):  # fmt: skip
        """The encoder of a fitted model of ``baselines`` with its channel weights.

        model : ClassToken, PatchToken or GNet; problem : Problem that it was fitted to
        weight : (N, D), bias : (N,): y = mean_d(w · v) + b
        """
        tensors = {name: tensor.detach().cpu().numpy() for name, tensor in model.exported().items()}
        tensors |= {"weight": np.asarray(weight, np.float32), "bias": np.asarray(bias, np.float32)}
        info = info | {"channels": [len(basis.on_raw().matrix) for basis in problem.local_basis]}
        return cls(tensors, hemi, vertex, layer_names, grid, density, info, rois, noise_ceiling, maps)

    @property
    def model(self):
        """Name of the baseline."""
        return self.info["model"]

    def selectors(self):
        """Raises InputError: a baseline has none."""
        raise InputError(
            f"encoder: expected a factorized one, found the {WHAT[self.model]} baseline, which has no selectors; "
            'fit with model="factorized" for layer, space and scale maps, or use its scores and predictions'
        )

    @property
    def channels(self):
        """Channels of each layer that it was fitted to, list of int."""
        return list(self.info["channels"])

    def read(self, local, global_, vertices=None):
        """Predicted responses (n, k) from raw tokens as tensors; see ``Encoder.read``."""
        import torch

        from factortopy.encoder import baselines, ridge
        from factortopy.encoder.reduce import on_grid

        # A loaded file's arrays are not to be written to; torch would say so each time.
        tensors = {name: torch.from_numpy(np.array(value)) for name, value in self.tensors.items()}
        local = [on_grid(t, self.grid) for t in local]
        if self.model == "ridge":
            found = ridge.predict(tensors, self.info, local)
        else:
            found = baselines.predict(self.model, tensors, local, global_)
        return found if vertices is None else found[:, torch.as_tensor(np.asarray(vertices))]

    # ------------------------------------------------------------ what Encoder.save and Encoder.load leave to it

    def _learnt(self):
        return {f"learnt.{name}": value for name, value in self.tensors.items() if name != "bias"}, None

    @classmethod
    def _from(cls, tensors, factors, **place):
        info, vertices = place["info"], len(place["vertex"])
        learnt = {name[7:]: value for name, value in tensors.items() if name.startswith("learnt.")}
        learnt["bias"] = tensors["bias"]
        if info["model"] not in WHAT:
            raise ValueError(f"a model {info['model']!r}")
        if learnt["weight"].shape[info["model"] == "ridge"] != vertices or len(learnt["bias"]) != vertices:
            raise ValueError("weights and vertices are of different numbers")
        if len(info["channels"]) != len(place["layer_names"]):
            raise ValueError("channels and layers are of different numbers")
        return cls(learnt, **place)
