"""One row a picture: repeats of a picture have the same tokens, so that their mean, counted as often as it was shown, says all.

Ridge regression on the mean responses with the number of trials as weight has exactly the solution of the single trials,
and the squared errors of the two differ by a constant. A film's TRs have tokens of their own each: there every trial is a picture.
"""

from functools import cached_property

import numpy as np
import torch

from factortopy.encoder.reduce import let_go

HELD_BYTES = 2**31  # mean responses in memory; beyond, they are taken anew whenever they are read
READ_BYTES = 2**26  # responses read at once


class Pictures:
    """The pictures of one part of a split, each once, in the order of the features.

    problem : Problem; trials : (t,) rows of its responses
    image : (n,) row of the features of each picture; count : (n,) its trials; once : each has one
    trials : (t,) the rows, those of a picture side by side; which : (t,) the picture of each
    """

    def __init__(self, problem, trials):
        self.problem, image = problem, problem.image[trials]
        self.trials = np.asarray(trials)[np.argsort(image, kind="stable")]
        self.image, self._first, self.count = np.unique(
            problem.image[self.trials], return_index=True, return_counts=True
        )
        self.which, self.once = np.repeat(np.arange(len(self.image)), self.count), len(self.image) == len(self.trials)

    def __len__(self):
        return len(self.image)

    def tokens(self, rows, few=False, dtype=torch.float32):
        """As ``Problem.tokens``, of pictures."""
        return self.problem.tokens_of(self.image[rows], few, dtype)

    def counts(self, rows):
        """(R,) float32 tensor of the trials of pictures; None where each has one."""
        return None if self.once else torch.from_numpy(self.count[rows]).to(self.problem.device, torch.float32)

    def answers(self, rows, vertices=None):
        """(R, n) float32 tensor of mean responses in ``problem.unit``."""
        rows = np.asarray(rows)
        if self.once:
            return self.problem.answers(self.trials[rows], vertices)
        block = self._means(rows, vertices) if self._held is None else read(self._held, rows, vertices)
        return torch.from_numpy(block).to(self.problem.device).div_(self.problem.unit)

    @cached_property
    def _held(self):
        """(n, N) mean responses, read in one pass over the trials; None where they are too large."""
        n_vertices = self.problem.responses.shape[1]
        return self._means(np.arange(len(self))) if 4 * n_vertices * len(self) <= HELD_BYTES else None

    def _means(self, rows, vertices=None):
        """(R, n) float32 array, the responses averaged over each picture's trials."""
        responses = self.problem.responses
        out = np.empty((len(rows), responses.shape[1] if vertices is None else len(vertices)), np.float32)
        at_once = max(1, int(READ_BYTES / (4 * responses.shape[1] * self.count.mean())))
        for i in range(0, len(rows), at_once):
            few = rows[i : i + at_once]
            count = self.count[few]
            begin = np.cumsum(count) - count
            trials = self.trials[np.repeat(self._first[few] - begin, count) + np.arange(count.sum())]
            block = read(responses, trials, vertices)
            np.divide(np.add.reduceat(block, begin, 0), count[:, None], out[i : i + at_once], casting="same_kind")
        return out


def read(responses, rows, vertices=None):
    """(R, n) float32 array of some rows, and columns, of an array that may be memory-mapped."""
    columns = slice(None) if vertices is None else vertices
    if not isinstance(responses, np.memmap):
        block = responses[rows] if vertices is None else responses[np.ix_(rows, vertices)]
        return np.ascontiguousarray(block, np.float32)
    out = np.empty((len(rows), responses.shape[1] if vertices is None else len(vertices)), np.float32)
    at_once = max(1, READ_BYTES // (4 * responses.shape[1]))
    for i in range(0, len(rows), at_once):
        out[i : i + at_once] = responses[rows[i : i + at_once]][:, columns]  # whole rows: a memory map does that well
    let_go(responses)
    return out
