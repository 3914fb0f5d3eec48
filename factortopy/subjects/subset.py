"""A subject with fewer pictures: quicker, and the way to see how much data is enough."""

import numpy as np

from factortopy.formats.problems import stop
from factortopy.subjects.split import MIN_IMAGES, SPLIT_PARTS, Split
from factortopy.subjects.subject import Subject


def fewer_pictures(subject, n, seed=0):
    """The subject with ``n`` of its pictures to learn from; all of its test pictures, so that scores compare.

    Drawn at random (seeded) in proportion: n over all pictures is the share that is kept of the training and of the validation pictures.

    Returns
    -------
    Subject
        The same one when it has no more than ``n`` pictures.

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
    if n >= subject.n_images:
        return subject
    rng = np.random.default_rng(seed)
    share = n / subject.n_images
    rows = {}
    for part in SPLIT_PARTS:
        trials = getattr(subject.split, part)
        pool = np.unique(image[trials])
        if part != "test":
            pool = rng.permutation(pool)[: max(2, round(share * len(pool)))]
        rows[part] = trials[np.isin(image[trials], pool)]
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
    smaller.surface = subject.surface
    learnt = np.unique(np.asarray(smaller.image_index)[np.concatenate([smaller.split.train, smaller.split.val])])
    smaller.remark(f"{len(learnt):,} of {subject.n_images:,} pictures are learnt from; the test part is whole")
    return smaller
