"""The encoder as a scikit-learn estimator: pictures or features in, responses out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from factortopy.encoder.names import FACTORS
from factortopy.errors import InputError
from factortopy.features.extraction import Features, extract
from factortopy.subjects.split import Split
from factortopy.subjects.subject import Subject

if TYPE_CHECKING:
    from factortopy.encoder.encoder import Encoder
    from factortopy.encoder.selectors import Selectors


class FactorTopyRegressor(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """The factorized, topological encoder behind ``fit``, ``predict`` and ``score``.

    ``clone``, ``cross_val_score``, ``GridSearchCV`` and the like take it as any regressor. X is no matrix: a network's
    tokens have layers and places.

    Parameters
    ----------
    backbone : str or Backbone, optional
        Network that reads pictures; not needed when X is ``Features``.
    hemi, vertex : (N,) array, optional
        0 left, 1 right, left first; 0-based place in that hemisphere's fsaverage mesh of ``density``.
    coords : (N, 3) array, optional
        Positions of one's own (voxels, a native surface) instead of ``vertex``. With neither, every column of y is on its
        own: no topology.
    density : "10k", "41k" or "164k"
    recipe, steps, topology, select, device
        As in ``factortopy.fit``.
    validation : float
        Share of the rows of ``fit`` that choose the penalty and the best step; the others train.
    random_state : int
        Seed of everything random.

    Attributes
    ----------
    encoder_ : Encoder
    selectors_ : Selectors

    Notes
    -----
    Rows are split into training and validation as they come, at random: pictures that were shown several times should be
    averaged first. ``score`` is the mean R² over vertices.
    """

    def __init__(
        self,
        backbone: Any = None,
        *,
        hemi: Any = None,
        vertex: Any = None,
        coords: Any = None,
        density: str = "10k",
        recipe: str = "fast",
        steps: int | None = None,
        topology: bool = True,
        select: tuple[str, ...] = FACTORS,
        validation: float = 0.1,
        device: str | None = None,
        random_state: int = 0,
    ) -> None:
        self.backbone = backbone
        self.hemi = hemi
        self.vertex = vertex
        self.coords = coords
        self.density = density
        self.recipe = recipe
        self.steps = steps
        self.topology = topology
        self.select = select
        self.validation = validation
        self.device = device
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> FactorTopyRegressor:
        """Fit to pictures or features X (n rows) and responses y, (n, N) or (n,).

        Raises
        ------
        InputError
            For rows that do not fit, values that are missing, or anything that ``factortopy.fit`` refuses.
        """
        from factortopy.encoder.fitting import fit

        y = np.asarray(y, dtype=np.float32)
        responses = y[:, None] if y.ndim == 1 else y
        if responses.ndim != 2 or len(responses) != len(X) or not np.isfinite(responses).all():
            raise InputError(
                f"y: expected (n, vertices) finite values for the {len(X)} rows of X, found "
                f"{'missing values' if responses.shape[:1] == (len(X),) else f'shape {y.shape}'}; correct it"
            )
        if not 0 < self.validation < 1:
            raise InputError(f"validation: expected a share between 0 and 1, found {self.validation!r}")
        features, n = self._features(X), responses.shape[1]
        placed = self.vertex is not None or self.coords is not None
        hemi = np.zeros(n, dtype=int) if self.hemi is None else self.hemi
        vertex = np.arange(n) if self.vertex is None else self.vertex
        subject = Subject(responses, None, hemi, vertex, coords=self.coords, density=self.density)
        rows = np.random.default_rng(self.random_state).permutation(len(responses))
        held = max(2, round(self.validation * len(rows)))
        # Nothing is kept for a test: those rows are the caller's (cross_val_score holds them out).
        subject.split = Split(np.sort(rows[held:]), np.sort(rows[:held]), np.zeros(0, dtype=int))
        self.encoder_: Encoder = fit(
            subject, features, recipe=self.recipe, seed=self.random_state, steps=self.steps,
            topology=bool(self.topology and placed), select=self.select, device=self.device,
        )  # fmt: skip
        self.selectors_: Selectors = self.encoder_.selectors()
        self._one_column = y.ndim == 1
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Responses to pictures or features: (n, N) float32, or (n,) when y had one dimension."""
        check_is_fitted(self, "encoder_")
        predicted = self.encoder_.predict_features(self._features(X))
        return predicted[:, 0] if self._one_column else predicted

    def _features(self, X: Any) -> Features:
        if isinstance(X, Features):
            return X
        if self.backbone is None:
            raise InputError(
                "X: expected Features, or pictures and a network, found no network; give backbone='demo-vit' or "
                "ft.extract(backbone, images)"
            )
        if isinstance(X, np.ndarray) and X.ndim != 4:
            raise InputError(f"X: expected pictures (n, H, W, 3), a list of paths or Features, found shape {X.shape}")
        from factortopy.backbones.loading import load_backbone

        network = load_backbone(self.backbone) if isinstance(self.backbone, str) else self.backbone
        features = extract(network, X, device=self.device, antialias=self.recipe != "paper-released")
        assert features is not None  # only a caller that reports progress can stop it
        return features

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = False
        tags.no_validation = True
        return tags
