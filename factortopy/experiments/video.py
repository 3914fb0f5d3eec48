"""The simulated brain watches a film: a response a frame, as it is or as slow as blood flow."""

import numpy as np

from factortopy.errors import InputError, unexpected
from factortopy.experiments.responses import respond

GREY = 128
FINE = 1 / 16  # seconds; the haemodynamic response is sampled at least so finely
LONG = 32.0  # seconds that it lasts
MODELS = ("spm", "glover")


def watch(encoder, frames, times, hrf=False, on_progress=None):
    """Predicted responses to the frames of a film.

    Each frame is seen by itself: a network of single pictures knows no motion.

    Parameters
    ----------
    encoder : Encoder
    frames : (T, H, W, 3) uint8
    times : (T,) seconds, even, as ``read_video`` gives them
    hrf : bool or "spm", "glover"
        Convolve with a haemodynamic response (SPM's where True). Before the film there was a mid-grey picture, whose
        response is the baseline; the responses to the last seconds come after the film and are not returned.
    on_progress : callable, optional
        Gets (done, total) frames; returning False raises ``Stopped``.

    Returns
    -------
    (T, N) float32
        Responses at the frames' onsets; without ``hrf`` those to the frames themselves.

    Raises
    ------
    InputError
    Stopped
    """
    frames, times = np.asarray(frames), np.asarray(times, dtype=float)
    if frames.ndim != 4 or frames.dtype != np.uint8 or not len(frames) or times.shape != frames.shape[:1]:
        expected = "frames (T, H, W, 3) of uint8 and a time for each"
        actual = f"{frames.shape} of {frames.dtype} and times {times.shape}"
        raise unexpected("video", expected, actual, "use factortopy.pictures.video.read_video")
    step = _step(times) if hrf else None
    responses = respond(encoder, frames, on_progress)
    if not hrf:
        return responses
    grey = encoder.predict(np.full((1, *frames.shape[1:]), GREY, np.uint8))
    return haemodynamic(responses - grey, step, "spm" if hrf is True else hrf) + grey


def haemodynamic(responses, step, model="spm"):
    """Responses (T, N), each held for ``step`` seconds, through a haemodynamic response -> (T, N) float32 at their onsets.

    Nothing comes before its cause, and a response that lasts reaches its own height: the kernel sums to 1.
    """
    from scipy.signal import fftconvolve

    kernel = hrf_kernel(step, model)[: len(responses)]
    out = fftconvolve(np.asarray(responses, dtype=float), kernel[:, None], axes=0)[: len(responses)]
    return out.astype(np.float32)


def hrf_kernel(step, model="spm"):
    """(K,) weights of the present frame, the one before, …: nilearn's haemodynamic response, sampled finely and summed
    over each frame's ``step`` seconds. The present frame, only just shown, has none."""
    from nilearn.glm import first_level

    if model not in MODELS:
        raise InputError(f"haemodynamic response: expected one of {', '.join(MODELS)}, found {model!r}; choose one")
    fine = max(1, int(np.ceil(step / FINE)))
    values = getattr(first_level, f"{model}_hrf")(step, oversampling=fine, time_length=LONG)
    values = np.concatenate([values, np.zeros(-len(values) % fine)])
    kernel = np.concatenate([[0.0], values.reshape(-1, fine).sum(1)])
    return kernel / kernel.sum()


def _step(times):
    """Seconds between frames; InputError unless there are two and they are even."""
    gaps = np.diff(times)
    if not len(gaps) or gaps.min() <= 0 or np.ptp(gaps) > 0.01 * gaps.mean():
        expected = "at least two frames at even, rising times for a haemodynamic response"
        actual = f"{len(times)} at {np.round(times[:5], 3).tolist()}…"
        raise unexpected("video", expected, actual, "sample the film evenly (read_video does)")
    return float(gaps.mean())
