"""A fitted encoder: predicts every vertex's response, gives its selectors, is saved and loaded."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from factortopy.encoder.names import FACTORS
from factortopy.encoder.selectors import Selectors
from factortopy.errors import InputError
from factortopy.storage.files import holds, make_folder, pack_tensors, read_json, read_tensors, write_atomic, write_json
from factortopy.surfaces.coordinates import OnVertices, Vertices

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from factortopy.backbones.base import Backbone
    from factortopy.features.extraction import Features

SCHEMA = 1  # of the run folder; a newer one is refused


class Encoder(OnVertices):
    """What a fit leaves.

    Attributes
    ----------
    vertices : Vertices
        Whose ``hemi``, ``vertex`` and ``density`` are attributes of the encoder too.
    layer_names : list of str
    info : dict
        Subject, backbone, recipe, seed, simulated, versions; what run.json holds.
    rois : {name: (N,) bool}
    noise_ceiling : (N,) float or None
    scores : {"score", "predicted", …: (N,)}
        Filled in by whoever scored the encoder; empty before.
    maps : {name: (N,)}
        The subject's measured maps (``Subject.maps``), to stand beside simulated ones.
    has_selectors : bool
        False for the baselines, whose ``selectors`` raises InputError.
    """

    has_selectors = True

    def __init__(
        self,
        selectors: Any,
        alignment: Any,
        bias: np.ndarray,
        vertices: Vertices,
        layer_names: Sequence[str],
        grid: int,
        info: Mapping[str, Any] | None = None,
        rois: Mapping[str, np.ndarray] | None = None,
        noise_ceiling: np.ndarray | None = None,
        maps: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        self._selectors, self._alignment, self._bias = selectors, alignment, bias
        self.vertices, self.layer_names, self.grid = vertices, list(layer_names), grid
        self.info, self.rois, self.noise_ceiling = dict(info or {}), dict(rois or {}), noise_ceiling
        self.scores: dict[str, np.ndarray] = {}
        self.maps = dict(maps or {})
        self._backbone: Backbone | None = None

    @property
    def n_vertices(self) -> int:
        return len(self.vertices)

    @property
    def simulated(self) -> bool:
        return bool(self.info.get("simulated"))

    @property
    def backbone_name(self) -> str:
        return self.info.get("backbone") or ""

    @property
    def antialias(self) -> bool:
        """How the tokens that it reads are resized to its grid: averaged over areas, or False: the four nearest alone."""
        return bool(self.info.get("antialias", True))

    def selectors(self) -> Selectors:
        """The learnt factors of every vertex (``Selectors``)."""
        return self._selectors

    def backbone(self) -> Backbone:
        """The network that the encoder reads, loaded once.

        Raises
        ------
        InputError
            When it was fitted to features without a network.
        """
        if self._backbone is None:
            if not self.backbone_name:
                raise InputError(
                    "encoder: expected a network to predict from pictures, found one fitted to bare features; "
                    "use encoder.predict_features(features)"
                )
            from factortopy.backbones.loading import load_backbone

            self._backbone = load_backbone(self.backbone_name, weights=self.info.get("weights"))
        return self._backbone

    def predict(self, images: Any) -> np.ndarray:
        """Predicted responses to pictures: arrays, PIL images or paths -> (n_images, N) float32."""
        from factortopy.features.extraction import compute

        return self.predict_features(compute(self.backbone(), images, grid=self.grid, antialias=self.antialias))

    def predict_features(self, features: Features) -> np.ndarray:
        """Predicted responses from features of the same layers -> (n, N) float32.

        Raises
        ------
        InputError
            When layers or channels differ from those that the encoder was fitted to, or tokens were resized in another way.
        """
        import torch

        from factortopy.encoder.reduce import as_tensor

        reduction = features.reduction
        channels = [tokens.shape[-1] for tokens in features.local] if reduction is None else reduction.channels
        expected = self.channels
        if channels != expected:
            raise InputError(
                f"features: expected layers of {expected} channels, as this encoder was fitted to, found {channels}; "
                "use the features of its own network"
            )
        if features.antialias not in (None, self.antialias):
            raise InputError(
                f"features: expected tokens resized {'with' if self.antialias else 'without'} antialiasing, as this encoder was "
                f"fitted to, found the other way; extract them with antialias={self.antialias}"
            )
        out = []
        with torch.inference_mode():
            for i in range(0, len(features), 64):
                layers = [
                    [as_tensor(t[i : i + 64]).float() for t in kind] for kind in (features.local, features.global_)
                ]
                if reduction is not None:
                    layers = reduction.back(*layers)
                out.append(self.read(*layers).numpy())
        return np.concatenate(out) if out else np.zeros((0, self.n_vertices), dtype=np.float32)

    @property
    def channels(self) -> list[int]:
        """Channels of each layer that it was fitted to, list of int."""
        return [len(m) for m in self._alignment["local"]]

    def read(self, local: Any, global_: Any, vertices: Any = None) -> Any:
        """Predicted responses from raw tokens as tensors; gradients pass.

        Parameters
        ----------
        local, global_ : lists over layers of float32 tensors (n, h, w, C_l), (n, C_l)
        vertices : (k,) int, optional
            Rows of the encoder's vertices; None takes all.

        Returns
        -------
        (n, k) tensor
        """
        import torch

        from factortopy.encoder.model import align, read_out
        from factortopy.encoder.reduce import on_grid

        if not self._selectors.channel.shape[1]:
            raise InputError(
                "encoder: expected channel weights, found selectors alone; fit with weights=True to predict"
            )
        factor, rows = self._selectors, slice(None) if vertices is None else np.asarray(vertices)
        places = factor.space[:, None] if factor.samples is None else factor.samples
        space, layer, scale, channel, bias = (
            torch.from_numpy(np.ascontiguousarray(a[rows], dtype=np.float32))
            for a in (places, factor.layer, factor.scale[:, None], factor.channel, self._bias)
        )
        if "space" not in self.info.get("select", FACTORS):
            space = None  # without the space factor positions are averaged, not sampled at the centre
        kinds = ("local", "global", "local_offset", "global_offset")
        linear = [[torch.from_numpy(np.array(x)) for x in self._alignment[kind]] for kind in kinds]
        local = [on_grid(t, self.grid, self.antialias) for t in local]
        aligned, dim, block = align(local, global_, *linear), channel.shape[1], []
        for i in range(0, len(bias), 2048):
            k = slice(i, i + 2048)
            where = None if space is None else space[k]
            block.append(read_out(aligned, where, layer[k], scale[k], self.grid, dim, channel[k]) / dim)
        return torch.cat(block).T + bias

    def aligned(self, local: Any) -> Any:
        """Local tokens of all layers in the common channels: list of (n, h, w, C_l) tensors -> list of (n, h, w, D)."""
        import torch

        pairs = zip(self._alignment["local"], self._alignment["local_offset"], strict=True)
        maps = [(torch.from_numpy(np.array(m)), torch.from_numpy(np.array(o))) for m, o in pairs]
        return [tokens @ m + o for tokens, (m, o) in zip(local, maps, strict=True)]

    @cached_property
    def fingerprint(self) -> str:
        """Changes whenever what it learnt or its network changes; part of the key of cached responses."""
        digest, (tensors, factors) = hashlib.blake2b(digest_size=12), self._learnt()
        for name, value in sorted((tensors | (factors or {}) | {"bias": self._bias}).items()):
            digest.update(name.encode() + np.ascontiguousarray(value).tobytes())
        how = "" if self.antialias else " aliased"
        digest.update(f"{self.grid} {self.info.get('select')} {self.backbone().fingerprint}{how}".encode())
        return digest.hexdigest()

    # ------------------------------------------------------------ saving and loading

    def save(self, folder: str | Path, finished: bool = True) -> None:
        """Write encoder.safetensors, selectors.safetensors and run.json; each file replaced as a whole."""
        folder = make_folder(folder)
        tensors, factors = self._learnt()
        tensors |= {"bias": self._bias, "hemi": self.hemi, "vertex": self.vertex.astype(np.int32)}
        tensors |= {f"roi.{name}": np.asarray(mask, dtype=np.uint8) for name, mask in self.rois.items()}
        if self.noise_ceiling is not None:
            tensors["noise_ceiling"] = np.asarray(self.noise_ceiling, dtype=np.float32)
        meta = {
            "layer_names": self.layer_names, "grid": self.grid, "density": self.density, "roi_names": list(self.rois),
        }  # fmt: skip
        simulated = {"simulated": str(self.simulated)}
        parts = {
            "encoder.safetensors": pack_tensors(tensors, {"factortopy": json.dumps(meta)}),
            "selectors.safetensors": factors and pack_tensors(factors, simulated),
            "scores.safetensors": self.scores and pack_tensors(self.scores),
            "maps.safetensors": self.maps
            and pack_tensors({k: np.asarray(v, dtype=np.float32) for k, v in self.maps.items()}, simulated),
        }
        described = read_json(folder / "run.json") if (folder / "run.json").exists() else {}
        others = [name for name in list(parts)[:2] if parts[name] and not holds(folder / name, parts[name])]
        if described.get("finished") and others:
            # A kill between the files must not leave parts of two encoders that pass for one.
            write_json(folder / "run.json", described | {"finished": False})
        for name, data in parts.items():
            if data:
                write_atomic(folder / name, data)
            else:
                (folder / name).unlink(missing_ok=True)  # of the encoder that was here before
        write_json(folder / "run.json", described | self.info | meta | {"schema": SCHEMA, "finished": bool(finished)})

    def _learnt(self):
        """What was learnt beside the bias: tensors of encoder.safetensors, and of selectors.safetensors or None."""
        s, kinds = self._selectors, (*_LOCAL, *_GLOBAL)
        factors = {name: getattr(s, name) for name in _STORED} | ({} if s.samples is None else {"samples": s.samples})
        return {f"{kind}.{i:03d}": m for kind in kinds for i, m in enumerate(self._alignment[kind])}, factors

    @classmethod
    def _from(cls, tensors, factors, **place):
        """The encoder of what ``_learnt`` gave and the bias; KeyError or ValueError where they do not match."""
        alignment = {
            kind: [tensors[k] for k in sorted(tensors) if k.startswith(f"{kind}.")] for kind in (*_LOCAL, *_GLOBAL)
        }
        if len(place["vertices"]) != len(factors["layer"]) or len(place["layer_names"]) != factors["layer"].shape[1]:
            raise ValueError("encoder and selectors are of different sizes")
        selectors = Selectors(*(factors[name] for name in _STORED), factors.get("samples"))
        return cls(selectors, alignment, tensors["bias"], **place)

    @classmethod
    def load(cls, folder: str | Path) -> Encoder:
        """Read a finished run.

        Raises
        ------
        InputError
            When the folder holds no run, an unfinished one, one of a newer version, or damaged files.
        """
        folder = Path(folder)
        info = read_json(folder / "run.json")
        if not isinstance(info.get("schema"), int) or info["schema"] > SCHEMA:
            raise InputError(
                f"{folder}/run.json: expected run format {SCHEMA} or older, found {info.get('schema')!r}; "
                "update FactorTopy to open it"
            )
        if not info.get("finished"):
            raise InputError(
                f"{folder}: expected a finished run, found one that was interrupted; resume it with train --resume"
            )
        tensors = read_tensors(folder / "encoder.safetensors")
        kind = Encoder
        if info.get("model", "factorized") != "factorized":
            kind = BaselineEncoder
        factors = read_tensors(folder / "selectors.safetensors") if kind.has_selectors else None
        scores, maps = folder / "scores.safetensors", folder / "maps.safetensors"
        try:
            encoder = kind._from(
                tensors,
                factors,
                vertices=Vertices(tensors["hemi"], tensors["vertex"], info["density"]),
                layer_names=info["layer_names"],
                grid=info["grid"],
                info=info,
                rois={
                    name: tensors[f"roi.{name}"].astype(bool) for name in info["roi_names"]
                },  # in the subject's order
                noise_ceiling=tensors.get("noise_ceiling"),
                maps=read_tensors(maps) if maps.exists() else None,
            )
        except InputError as error:
            raise InputError(f"{folder}: {error}") from None
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise InputError(
                f"{folder}: expected encoder and selectors of one run, found a mismatch ({error}); copy the run again"
            ) from None
        encoder.scores = read_tensors(scores) if scores.exists() else {}
        return encoder


_LOCAL, _GLOBAL = ("local", "local_offset"), ("global", "global_offset")
_STORED = (*FACTORS, "channel")


WHAT = {"classtoken": "class-token", "patchtoken": "patch-token", "gnetvit": "GNet", "ridge": "pooled-ridge"}


class BaselineEncoder(Encoder):
    """What ``fit`` leaves for ``model="classtoken"``, ``"patchtoken"``, ``"gnetvit"`` or ``"ridge"``.

    ``info["model"]`` names it, ``info["channels"]`` the channels of each layer; ``tensors``, {name: array}, hold all that
    it learnt, (N, …) "weight" and (N,) "bias" among them.
    """

    has_selectors = False

    def __init__(self, tensors, vertices, layer_names, grid, info=None, rois=None, noise_ceiling=None, maps=None):
        super().__init__(None, None, tensors["bias"], vertices, layer_names, grid, info, rois, noise_ceiling, maps)
        self.tensors = tensors

    @classmethod
    def of(
        cls, model, problem, weight, bias, vertices, layer_names, grid, info, rois=None, noise_ceiling=None, maps=None
    ):
        """The encoder of a fitted model of ``baselines`` with its channel weights.

        model : ClassToken, PatchToken or GNet; problem : Problem that it was fitted to
        weight : (N, D), bias : (N,): y = mean_d(w · v) + b
        """
        tensors = {name: tensor.detach().cpu().numpy() for name, tensor in model.exported().items()}
        tensors |= {"weight": np.asarray(weight, np.float32), "bias": np.asarray(bias, np.float32)}
        info = info | {"channels": [len(basis.on_raw().matrix) for basis in problem.local_basis]}
        return cls(tensors, vertices, layer_names, grid, info, rois, noise_ceiling, maps)

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

        from factortopy.encoder import baselines
        from factortopy.encoder.reduce import on_grid

        # A loaded file's arrays are not to be written to; torch would say so each time.
        tensors = {name: torch.from_numpy(np.array(value)) for name, value in self.tensors.items()}
        local = [on_grid(t, self.grid, self.antialias) for t in local]
        if self.model == "ridge":
            responses = baselines.predict_ridge(tensors, self.info, local)
        else:
            responses = baselines.predict(self.model, tensors, local, global_)
        return responses if vertices is None else responses[:, torch.as_tensor(np.asarray(vertices))]

    # ------------------------------------------------------------ what Encoder.save and Encoder.load leave to it

    def _learnt(self):
        return {f"learnt.{name}": value for name, value in self.tensors.items() if name != "bias"}, None

    @classmethod
    def _from(cls, tensors, factors, **place):
        info, vertices = place["info"], len(place["vertices"])
        learnt = {name[7:]: value for name, value in tensors.items() if name.startswith("learnt.")}
        learnt["bias"] = tensors["bias"]
        if info["model"] not in WHAT:
            raise ValueError(f"a model {info['model']!r}")
        if learnt["weight"].shape[info["model"] == "ridge"] != vertices or len(learnt["bias"]) != vertices:
            raise ValueError("weights and vertices are of different numbers")
        if len(info["channels"]) != len(place["layer_names"]):
            raise ValueError("channels and layers are of different numbers")
        return cls(learnt, **place)
