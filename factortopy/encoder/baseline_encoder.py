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
        self, tensors, hemi, vertex, layer_names, grid, density="10k", info=None, rois=None, noise_ceiling=None
    ):
        super().__init__(
            None, None, tensors["bias"], hemi, vertex, layer_names, grid, density, info, rois, noise_ceiling
        )
        self.tensors = tensors

    @classmethod
    def of(
        cls, model, problem, weight, bias, hemi, vertex, layer_names, grid, density="10k", info=None, rois=None,
        noise_ceiling=None,
    ):  # fmt: skip
        """The encoder of a fitted model of ``baselines`` with its channel weights.

        model : ClassToken, PatchToken or GNet; problem : Problem that it was fitted to
        weight : (N, D), bias : (N,): y = mean_d(w · v) + b
        """
        tensors = {name: tensor.detach().cpu().numpy() for name, tensor in model.exported().items()}
        tensors |= {"weight": np.asarray(weight, np.float32), "bias": np.asarray(bias, np.float32)}
        info = info | {"channels": [len(basis.matrix) for basis in problem.local_basis]}
        return cls(tensors, hemi, vertex, layer_names, grid, density, info, rois, noise_ceiling)

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

    def predict_features(self, features):
        """Predicted responses from features of the same layers -> (n, N) float32; InputError as ``Encoder``'s."""
        import torch

        from factortopy.encoder import baselines, ridge
        from factortopy.encoder.reduce import on_grid

        found, expected = [tokens.shape[-1] for tokens in features.local], self.info["channels"]
        if found != expected:
            raise InputError(
                f"features: expected layers of {expected} channels, as this encoder was fitted to, found {found}; "
                "use the features of its own network"
            )
        # A loaded file's arrays are not to be written to; torch would say so each time.
        tensors, out = {name: torch.from_numpy(np.array(value)) for name, value in self.tensors.items()}, []
        for i in range(0, len(features), 64):
            rows = slice(i, i + 64)
            local = [on_grid(t[rows], self.grid) for t in features.local]
            if self.model == "ridge":
                block = ridge.predict(tensors, self.info, local)
            else:
                heads = [torch.from_numpy(np.asarray(t[rows], dtype=np.float32)) for t in features.global_]
                block = baselines.predict(self.model, tensors, local, heads)
            out.append(block.numpy())
        return np.concatenate(out) if out else np.zeros((0, self.n_vertices), dtype=np.float32)

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
