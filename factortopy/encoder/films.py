"""Films and slow blood: tokens of frames become tokens of TRs, averaged within a TR and delayed by a finite impulse response.

    x_t = Σ_k h_k · mean over the frames of TR t − d_k,    Σ_k h_k = 1,  h_k ≥ 0

The delays d are chosen; the weights h are learnt once for the whole brain, from training TRs alone (``learn_response``), and
shrink towards SPM's canonical response where the data tell nothing. The result has as many channels as the network, so
every model is fitted to it as to pictures, and since the weights sum to 1 a still picture, shown for long, has exactly its
own tokens: ``encoder.predict(images)`` is the response that such a picture settles at.
"""

from dataclasses import replace

import numpy as np

from factortopy.errors import InputError

COMPONENTS = 100  # of the summary that the response is learnt from
VERTICES = 2000  # at most, that it is learnt from
ROUNDS = 8
SPREAD = 0.5  # of the weights around the canonical ones, before any data
PENALTIES = np.logspace(-3, 3, 7)


class OfTrials:
    """A layer's tokens by TR, (T, …), mixed from those of frames when they are read: nothing is stored.

    layer : (F, …) array, perhaps memory-mapped; matrix : (T, F) sparse
    """

    def __init__(self, layer, matrix):
        self.layer, self.matrix = layer, matrix
        self.shape, self.ndim, self.dtype = (matrix.shape[0], *layer.shape[1:]), layer.ndim, np.dtype(np.float32)

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):
        part = self.matrix[rows]
        used = np.unique(part.indices)
        tokens = np.asarray(self.layer[used], dtype=np.float32).reshape(len(used), -1)
        return np.asarray(part[:, used] @ tokens, dtype=np.float32).reshape(-1, *self.shape[1:])


def of_trials(subject, features, response=None, delays=None):
    """Features with a row for each TR of a subject that watched films; those of any other subject as they are.

    Parameters
    ----------
    subject : Subject
    features : Features
        A row for each of ``subject.images``, or what this function gave.
    response : (len(delays),), optional
        Weight of each delay; learnt from the training TRs when None.
    delays : (len(response),), optional
        TRs; the film's own when None.

    Returns
    -------
    Features
        ``extra["fir"]`` holds ``delays`` (TRs), ``weights`` and ``tr`` (seconds).

    Raises
    ------
    InputError
        When there are fewer features than frames.
    """
    film = getattr(subject, "film", None)
    if film is None or "fir" in features.extra:
        return features
    if len(features) != len(film.pictures):
        raise InputError(
            f"features: expected {len(film.pictures):,} frames, as the subject's films have, found {len(features):,}; "
            "extract them from subject.images"
        )
    if response is None:
        response = learn_response(subject, features)
    delays = film.delays if delays is None else delays
    matrix = film.weights(response, delays)
    weights = [round(float(weight), 4) for weight in response]
    return replace(
        features,
        local=[OfTrials(layer, matrix) for layer in features.local],
        global_=[np.asarray(matrix @ np.asarray(token, dtype=np.float32)) for token in features.global_],
        extra={"fir": {"delays": list(delays), "weights": weights, "tr": film.tr}},
    )


def as_fitted(encoder, subject, features):
    """``of_trials`` with the response that an encoder was fitted with."""
    fir = encoder.info.get("fir") or {}
    return of_trials(subject, features, fir.get("weights"), fir.get("delays"))


def rows_of(subject, trials):
    """Rows of ``of_trials`` features behind some trials: the TRs themselves, or the pictures."""
    trials = np.asarray(trials)
    if getattr(subject, "film", None) is not None or subject.image_index is None:
        return trials
    return np.asarray(subject.image_index)[trials]


def reducing(subject, most):
    """How ``extract`` is asked for ``most`` components a layer, learnt from training pictures; {} for all channels."""
    return {"reduce": most, "train": training_pictures(subject)} if most else {}


def training_pictures(subject):
    """(k,) rows of ``subject.images`` behind its training trials, each once."""
    film, train = getattr(subject, "film", None), np.asarray(subject.split.train)
    return np.unique(film.frames[train] if film is not None else rows_of(subject, train))


def kept_together(subject, trials):
    """(n,) labels of trials that cross-validation must not part: repeats of a picture, or contiguous TRs of a film."""
    film = getattr(subject, "film", None)
    if film is None:
        return rows_of(subject, trials)
    block = 2 * film.gap + 1  # half a minute or more
    return film.clip[trials] * 10**6 + film.position[trials] // block


def canonical(delays, tr):
    """(K,) SPM's haemodynamic response at each delay, summing to 1."""
    from nilearn.glm.first_level import spm_hrf

    fine = 16
    curve = np.maximum(spm_hrf(tr, oversampling=fine, time_length=32.0), 0)
    at = np.minimum(np.asarray(delays) * fine, len(curve) - 1)
    values = curve[at]
    return values / values.sum() if values.sum() > 0 else np.full(len(delays), 1 / len(delays))


def learn_response(subject, features):
    """(K,) weights of the delays, at least 0, summing to 1.

    Responses are predicted from the principal components of all layers' global tokens by ridge regression, whose input is
    delayed by the weights; regression and weights are found in turn, the weights always on TRs that the regression has not
    seen (four contiguous parts). Only training TRs are looked at.
    """
    film, train = subject.film, np.asarray(subject.split.train)
    delays, prior = film.delays, canonical(film.delays, film.tr)
    if len(delays) == 1:
        return np.ones(1)
    rng = np.random.default_rng(0)
    usable = np.flatnonzero(~np.asarray(subject.constant))
    sample = np.sort(rng.permutation(usable)[:VERTICES])
    y = np.asarray(subject.responses[train][:, sample], dtype=np.float64)
    y = (y - y.mean(0)) / np.maximum(y.std(0), 1e-9)
    x = _summary(film, features, train)
    lagged = np.stack([x[film.before(delay)[train]] for delay in delays])  # (K, T, p)
    fold = np.arange(len(train)) * 4 // len(train)
    penalty, weights = None, prior
    for _ in range(ROUNDS):
        gram, cross, penalty = _fit_weights(lagged, y, fold, weights, penalty)
        weights = _shrunk(gram, cross, prior)
    return weights


def _summary(film, features, train):
    """(T, p) principal components of the global tokens averaged within each TR, over the training TRs."""
    averages = []
    for token in features.global_:
        token = np.asarray(token, dtype=np.float64)
        mean = token[film.frames].mean(1)
        averages.append((mean - mean[train].mean(0)) / np.maximum(mean[train].std(0), 1e-6 + 1e-6 * np.abs(mean).max()))
    x = np.concatenate(averages, 1)
    variance, axes = np.linalg.eigh(x[train].T @ x[train])
    p = max(1, min(COMPONENTS, len(train) // 10))
    x = x @ axes[:, ::-1][:, :p]
    return x / np.sqrt(max(variance[-1] / len(train), 1e-12))


def _fit_weights(lagged, y, fold, weights, penalty):
    """(K, K), (K,) normal equations of the weights on held-out TRs; the ridge's penalty is chosen in the first round."""
    mixed, k = np.einsum("k,ktp->tp", weights, lagged), len(lagged)
    folds = [(fold != f, fold == f) for f in range(4)]

    def ridge(rows, penalty):
        x = mixed[rows]
        centre = x.mean(0)
        x = x - centre
        unit = np.trace(x.T @ x) / x.shape[1]
        slopes = np.linalg.solve(x.T @ x + penalty * unit * np.eye(x.shape[1]), x.T @ (y[rows] - y[rows].mean(0)))
        return centre, slopes, y[rows].mean(0)

    if penalty is None:

        def error(penalty):
            total = 0.0
            for fitted, held in folds:
                centre, slopes, mean = ridge(fitted, penalty)
                total += ((y[held] - mean - (mixed[held] - centre) @ slopes) ** 2).sum()
            return total

        penalty = min(PENALTIES, key=error)
    gram, cross = np.zeros((k, k)), np.zeros(k)
    for fitted, held in folds:
        centre, slopes, mean = ridge(fitted, penalty)
        parts = np.stack([((layer[held] - centre) @ slopes).ravel() for layer in lagged])
        gram += parts @ parts.T
        cross += parts @ (y[held] - mean).ravel()
    return gram, cross, penalty


def _shrunk(gram, cross, prior):
    """Non-negative weights that sum to 1: least squares with a Gaussian prior around the canonical response."""
    from scipy.optimize import nnls

    strength = 1 / SPREAD**2  # the responses have variance 1
    root = np.linalg.cholesky(gram + (strength + 1e-9 * np.trace(gram)) * np.eye(len(gram)))
    weights = nnls(root.T, np.linalg.solve(root, cross + strength * prior))[0]
    return weights / weights.sum() if weights.sum() > 1e-6 else prior
