"""A subject with fewer pictures: quicker, the way to see how much data is enough, and halves to see what pictures change."""

import copy

import numpy as np

from factortopy.formats.problems import stop
from factortopy.subjects.split import MIN_IMAGES, SPLIT_PARTS, Split
from factortopy.subjects.subject import Subject


def learnt_pictures(subject):
    """How many different pictures are learnt from: those to train and to validate on, for the last solve reads both."""
    split = subject.split
    return len(np.unique(np.asarray(subject.image_index)[np.concatenate([split.train, split.val])]))


def fewer_pictures(subject, n, seed=0):
    """The subject with exactly ``n`` different pictures to learn from; all of its test pictures, so that scores compare.

    Drawn at random (seeded), as many to train and to validate on as is their proportion in the whole subject. Both count: every
    recipe solves its last weights on training and validation pictures together.

    Returns
    -------
    Subject
        The same one when it learns from no more than ``n`` pictures.

    Raises
    ------
    InputError
        For fewer than ``MIN_IMAGES`` pictures.
    """
    if n < MIN_IMAGES:
        raise stop("pictures", f"at least {MIN_IMAGES}", f"{n}", "ask for more")
    if subject.film is not None:
        raise stop("pictures", "all of a film (its TRs belong together)", f"{n:,} asked for", "leave this setting out")
    image = np.asarray(subject.image_index)
    if n >= learnt_pictures(subject):
        return subject
    rng = np.random.default_rng(seed)
    rows = {part: getattr(subject.split, part) for part in SPLIT_PARTS}
    pools = {part: np.unique(image[rows[part]]) for part in ("train", "val")}
    n_train, n_val = map(len, pools.values())
    n_val = min(n_val, max(2, round(n * n_val / (n_train + n_val))))
    for part, size in {"train": n - n_val, "val": n_val}.items():
        rows[part] = rows[part][np.isin(image[rows[part]], rng.permutation(pools[part])[:size])]
    trials = np.sort(np.concatenate(list(rows.values())))
    kept, image_index = np.unique(image[trials], return_inverse=True)
    images = subject.images
    if images is not None:
        images = [images[i] for i in kept] if isinstance(images, list) else images[kept]

    def of_trials(values):
        return None if values is None else np.asarray(values)[trials]

    smaller = Subject(
        subject.responses[trials], images, subject.hemi, subject.vertex,
        coords=subject.coords if subject.coords_given else None, rois=subject.rois, noise_ceiling=subject.noise_ceiling,
        image_index=image_index, split=Split(*(np.searchsorted(trials, np.sort(rows[part])) for part in SPLIT_PARTS)),
        name=subject.name, simulated=subject.simulated, density=subject.density, image_degrees=subject.image_degrees,
        session=of_trials(subject.session), onset=of_trials(subject.onset), tr=subject.tr, maps=subject.maps,
    )  # fmt: skip
    smaller.surface, smaller.ceiling_note = subject.surface, subject.ceiling_note
    smaller.remark(f"{n:,} of {subject.n_images:,} pictures are learnt from; the test part is whole")
    return smaller


def half_of_pictures(subject, number):
    """The subject with a random half of the pictures that it learns from; all of its test pictures.

    Halves 1 and 2 share no picture and are together all of them, as are 3 and 4, and so on; each pair is another random division.
    Pictures, not trials, are divided, so that repeats of one stay together, also where a half is split anew into training and
    validation, in the proportion of the whole. Only the split differs from the subject's, whose arrays are shared.

    number : int, from 1

    Raises
    ------
    InputError
        For a film, or when a half has too few pictures to learn from.
    """
    if subject.film is not None:
        raise stop("half", "pictures", "a film (its TRs belong together)", "leave this setting out")
    image, whole = np.asarray(subject.image_index), subject.split
    train, val = (np.unique(image[part]) for part in (whole.train, whole.val))
    pool = np.union1d(train, val)
    drawn = np.random.default_rng([(number + 1) // 2, 20]).permutation(pool)
    mine = drawn[(number + 1) % 2 :: 2]
    n_val = max(1, round(len(mine) * len(val) / len(pool)))
    learnt = np.concatenate([whole.train, whole.val])
    parts = (np.sort(learnt[np.isin(image[learnt], pictures)]) for pictures in (mine[n_val:], mine[:n_val]))
    half = copy.copy(subject)
    half.split, half.whole = Split(*parts, whole.test), whole
    half.split.check(image)
    half.remarks = [*subject.remarks, f"half {number}: {len(mine):,} of {len(pool):,} pictures are learnt from"]
    return half
