"""The category localizer: which vertices prefer faces, bodies, scenes, objects or words, and do they lie in their areas.

Formulas: t as in NSD's code, (mA − mB) / √(seA² + seB²); d′ = (mA − mB) / √((sA² + sB²) / 2); false discovery rate by
Benjamini and Hochberg on two-sided Welch tests. All variance is between pictures: the encoder has no noise, so that t and
q tell how many pictures were shown as much as how selective a vertex is. d′ does not, and leads.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from factortopy.errors import InputError, unexpected
from factortopy.experiments.checks import number, whole
from factortopy.experiments.responses import respond, tell
from factortopy.experiments.result import Result
from factortopy.storage.allowed_folders import typed

DEFAULTS = {"category": "faces", "against": None, "pictures": "rendered", "n": 24, "seed": 0, "q": 0.05}
ALSO = {"against": (str, list)}  # other types that a setting may have
RENDERED = "rendered"
EXAMPLES = 6
# What a category may be called, the localizer of Stigliani et al. 2015 (fLoc) among them.
ALIKE = {
    "faces": {"face", "faces"}, "bodies": {"body", "bodies"}, "scenes": {"scene", "scenes", "place", "places"},
    "words": {"word", "words", "character", "characters"}, "objects": {"object", "objects"},
}  # fmt: skip
FLOC = {
    "adult": "faces", "child": "faces", "body": "bodies", "limb": "bodies", "corridor": "places", "house": "places",
    "word": "characters", "number": "characters", "car": "objects", "instrument": "objects", "scrambled": "scrambled",
}  # fmt: skip
# Areas and what they are named for: those of NSD's and Algonauts' floc files, and the unions of their parts.
_NAMED = {
    "faces": ("OFA", "FFA", "FFA-1", "FFA-2", "mTL-faces", "aTL-faces"), "bodies": ("EBA", "FBA", "FBA-1", "FBA-2", "mTL-bodies"),
    "scenes": ("OPA", "PPA", "RSC"), "words": ("OWFA", "VWFA", "VWFA-1", "VWFA-2", "mfs-words", "mTL-words"),
}  # fmt: skip
AREAS = {area: kind for kind, areas in _NAMED.items() for area in areas}
VARIANCE = (
    "The encoder answers without noise: the variance behind d′, t and q is between pictures of a category. t and q "
    "grow with the number of pictures; d′ does not."
)
SIMULATED = "Simulated subject: its high-level areas answer to what was drawn, by construction."
RENDERINGS = "The pictures are rendered, not photographs: they show the kind of thing, not its variety."


@dataclass(frozen=True)
class Contrast:
    """One category against others.

    t, dprime, q : (N,) float32, positive where the category drives a vertex more; q two-sided
    category : str; against : list of str; n : (pictures of the category, pictures of the others)
    """

    t: np.ndarray
    dprime: np.ndarray
    q: np.ndarray
    category: str = ""
    against: tuple = ()
    n: tuple = (0, 0)


class Categories(dict):
    """Pictures by category, {name: list of (H, W, 3) uint8}; ``bad``: (file, sentence) of what could not be read."""

    bad = ()


def contrast(encoder, pictures, category, against=None, on_progress=None):
    """Which vertices answer one category more than others.

    Parameters
    ----------
    encoder : Encoder
    pictures : {name: sequence of (H, W, 3) uint8 arrays or paths}, at least two a category
    category : str
    against : str or sequence of str, optional
        The other side, its pictures pooled; None takes all other categories.
    on_progress : callable, optional
        Gets (done, total) pictures; returning False raises ``Stopped``.

    Returns
    -------
    Contrast
        ``.dprime``, ``.t``, ``.q``, each (N,).

    Raises
    ------
    InputError
        Unknown category, nothing to compare with, fewer than two pictures on a side.
    """
    against = sides(pictures, category, against)
    answers = responses(encoder, {name: pictures[name] for name in (category, *against)}, on_progress)
    return compare(answers, category, against)


def sides(pictures, category, against=None):
    """The checked names of the other side, a tuple."""
    names = ", ".join(map(str, pictures)) or "none"
    for name in (category,) if against is None else (category, *_names(against)):
        if name not in pictures:
            raise InputError(f"category {name!r}: expected one of those with pictures ({names}); choose one of these")
    others = tuple(name for name in pictures if name != category) if against is None else _names(against)
    if not others or category in others:
        actual = f"{'itself among them' if others else 'no other'} (pictures of: {names})"
        raise unexpected("contrast", f"{category!r} against other categories", actual, "name another side")
    for name in (category, *others):
        if len(pictures[name]) < 2:
            remedy = "the variance between pictures is what a contrast is measured against: add some"
            raise unexpected(f"category {name!r}", "at least 2 pictures", len(pictures[name]), remedy)
    return others


def _names(names):
    return (names,) if isinstance(names, str) else tuple(dict.fromkeys(names))


def responses(encoder, pictures, on_progress=None):
    """{name: (n, N) float32} predicted responses of each category, progress counted over all."""
    total, before, out = sum(map(len, pictures.values())), 0, {}
    for name, images in pictures.items():
        start = before
        step = None if on_progress is None else lambda done, _, start=start: on_progress(start + done, total)
        out[name] = respond(encoder, images, step)
        before += len(images)
    return out


def compare(answers, category, against):
    """``Contrast`` of responses by category: {name: (n, N)}."""
    from scipy.stats import false_discovery_control
    from scipy.stats import t as student

    a = np.asarray(answers[category], dtype=np.float64)
    b = np.concatenate([answers[name] for name in against]).astype(np.float64)
    difference, floor = a.mean(0) - b.mean(0), 1e-6 * np.maximum(np.abs(a).max(0), np.abs(b).max(0)) + 1e-12
    # Never below the rounding of the responses: a vertex without variance gets a large number, not infinity.
    var_a, var_b = (np.maximum(x.var(0, ddof=1), floor**2) for x in (a, b))
    se_a, se_b = var_a / len(a), var_b / len(b)
    t = difference / np.sqrt(se_a + se_b)
    freedom = (se_a + se_b) ** 2 / (se_a**2 / (len(a) - 1) + se_b**2 / (len(b) - 1))
    q = false_discovery_control(2 * student.sf(np.abs(t), freedom), method="bh")
    dprime = difference / np.sqrt((var_a + var_b) / 2)
    t, dprime, q = (x.astype(np.float32) for x in (t, dprime, q))
    return Contrast(t, dprime, q, category, tuple(against), (len(a), len(b)))


# ---------------------------------------------------------------- pictures


@lru_cache(maxsize=4)
def rendered(n, size, seed):
    """The built-in sets; see ``stimuli.localizer``."""
    from factortopy.stimuli.localizer import localizer

    return localizer(n, size, seed)


def pictures_of(encoder, source=RENDERED, n=24, seed=0):
    """The built-in sets at the network's size, or those of a folder -> {name: pictures}."""
    whole("n", n, 2)
    if source == RENDERED:
        return rendered(n, int(np.clip(encoder.backbone().input_size, 112, 256)), seed)
    return read_categories(source, n, seed)


def read_categories(folder, n=None, seed=0):
    """Pictures of a folder with one sub-folder a category.

    Parameters
    ----------
    folder : path
        Sub-folders named after categories. Where all of them bear names of the fLoc localizer (adult, child, body,
        limb, corridor, house, word, number, car, instrument) they are joined to faces, bodies, places, characters, objects.
    n : int, optional
        No more pictures a category than this, chosen at random by ``seed``; None takes all.

    Returns
    -------
    Categories
        {name: list of (H, W, 3) uint8}; files that cannot be read are in ``.bad``.

    Raises
    ------
    InputError
        No such folder, fewer than two categories in it, or a category with fewer than two readable pictures.
    """
    from factortopy.pictures.reading import read_pictures

    folder, layout = typed(str(folder)), "expected one sub-folder of pictures a category (faces, scenes, …)"
    if not folder.is_dir():
        there = "a file" if folder.exists() else "nothing there"
        raise InputError(f"folder {str(folder)!r}: {layout}, found {there}; check the path")
    try:
        inside = sorted(path for path in folder.iterdir() if not path.name.startswith((".", "__")))
    except OSError as error:
        raise InputError(f"folder {str(folder)!r}: {layout}, found {error.strerror}; check its permissions") from None
    parts = [path for path in inside if path.is_dir()]
    if len(parts) < 2:
        names = ", ".join(path.name for path in parts) or "none"
        loose = len(inside) - len(parts)
        raise InputError(
            f"folder {str(folder)!r}: {layout}, two or more, found {len(parts)} ({names}) and {loose} loose files; "
            "make a folder for each category and put its pictures there"
        )
    joined = all(path.name.lower() in FLOC for path in parts)
    files, out, rng = {}, Categories(), np.random.default_rng(seed)
    for path in parts:
        name = FLOC[path.name.lower()] if joined else path.name
        own = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
        files.setdefault(name, []).extend(own)
    bad = []
    for name, paths in files.items():
        if n is not None and len(paths) > n:
            paths = [paths[i] for i in np.sort(rng.choice(len(paths), n, replace=False))]
        read = read_pictures(paths)
        bad += [(f"{name}/{label}", sentence) for label, sentence in read.bad]
        if len(read.good) < 2:
            why = f" ({read.bad[0][1]})" if read.bad else ""
            raise InputError(
                f"folder {str(folder)!r}, category {name!r}: expected at least 2 readable pictures, "
                f"found {len(read.good)} among {len(paths)} files{why}; add pictures or remove the folder"
            )
        out[name] = [picture.pixels for picture in read.good]
    out.bad = tuple(bad)
    return out


def named(names, kind):
    """The one of ``names`` that is the category ``kind`` (a key of ALIKE), None where there is none."""
    return next((name for name in names if str(name).lower() in ALIKE[kind]), None)


# ---------------------------------------------------------------- areas


def profile(answers, rois):
    """{roi: {category: {"mean", "se"}}}: mean and standard error over pictures of the ROI's mean response."""

    def in_area(responses, mask):
        means = responses[:, mask].mean(1, dtype=np.float64)
        return {"mean": float(means.mean()), "se": float(means.std(ddof=1) / len(means) ** 0.5)}

    return {roi: {name: in_area(x, mask) for name, x in answers.items()} for roi, mask in rois.items() if mask.any()}


def agreement(dprime, rois):
    """How well category d′ finds the areas that are named for it.

    Parameters
    ----------
    dprime : {category: (N,)} against all others
    rois : {name: (N,) bool}

    Returns
    -------
    {roi: {"category", "auc", "dice", "found", "threshold", "vertices"}}
        auc over all vertices; dice between the ROI and equally many vertices of the highest d′, ``threshold`` the lowest
        d′ among them. Where several areas prefer a category their vertices compete: ``found`` is the share of the ROI
        among as many vertices as all its areas have.
    """
    from sklearn.metrics import roc_auc_score

    areas, out = {}, {}
    for roi, kind in AREAS.items():
        category = named(dprime, kind)
        if category is not None and roi in rois and np.any(rois[roi]) and not np.all(rois[roi]):
            areas.setdefault(category, []).append(roi)
    for category, names in areas.items():
        values = np.nan_to_num(dprime[category], nan=-1e30)
        order = np.argsort(-values, kind="stable")
        together = int(np.any([rois[roi] for roi in names], axis=0).sum())
        for roi in names:
            mask = np.asarray(rois[roi], dtype=bool)
            size = int(mask.sum())
            out[roi] = {
                "category": category, "auc": float(roc_auc_score(mask, values)),
                "dice": float(mask[order[:size]].mean()), "found": float(mask[order[:together]].sum() / size),
                "threshold": float(values[order[size - 1]]), "vertices": size,
            }  # fmt: skip
    return {roi: out[roi] for roi in AREAS if roi in out}


def measured(dprime, maps):
    """Correlation over vertices with maps measured for a category ("faces", "faces_t", "floc-faces", …).

    Returns
    -------
    {category: {"map", "r", "vertices"}}
    """
    out = {}
    for label, values in maps.items():
        word = re.sub(r"[^a-z]+", "_", label.lower()).strip("_").removeprefix("floc").strip("_")
        word = re.sub(r"(tval|dprime|_t|_d)$", "", word).strip("_")
        kind = next((kind for kind, words in ALIKE.items() if word in words), None)
        category = named(dprime, kind) if kind else None
        use = np.isfinite(values) & np.isfinite(dprime[category]) if category else np.zeros(0, bool)
        if category and category not in out and use.sum() > 2 and np.ptp(values[use]) > 0:
            r = np.corrcoef(values[use], dprime[category][use])[0, 1]
            out[category] = {"map": label, "r": float(r), "vertices": int(use.sum())}
    return out


def run(encoder, settings, on_progress=None):
    """The whole localizer -> Result.

    Settings
    --------
    category, against : as for ``contrast``; pictures : "rendered" or a folder for ``read_categories``
    n : pictures a category; seed : of which pictures; q : rate of false discoveries that counts as significant
    """
    q = number("q", settings["q"])
    if not 0 < q < 1:
        raise InputError(f"q: expected a share between 0 and 1, found {q!r}; use 0.05")
    whole("seed", settings["seed"])
    tell(on_progress, 0, 1)
    pictures = pictures_of(encoder, settings["pictures"], settings["n"], settings["seed"])
    against = sides(pictures, settings["category"], settings["against"])
    answers = responses(encoder, pictures, on_progress)
    chosen = compare(answers, settings["category"], against)
    every = {name: compare(answers, name, sides(pictures, name)).dprime for name in answers}
    maps = {"dprime": chosen.dprime, "t": chosen.t, "q": chosen.q} | {f"dprime {k}": v for k, v in every.items()}
    low = chosen.q <= q
    bad = getattr(pictures, "bad", ())
    numbers = {
        "contrast": {
            "category": chosen.category, "against": list(against), "pictures": list(chosen.n), "q": q,
            "more": int((low & (chosen.t > 0)).sum()), "less": int((low & (chosen.t < 0)).sum()),
            "vertices": encoder.n_vertices,
        },
        "pictures": {name: len(images) for name, images in pictures.items()},
        "profile": profile(answers, encoder.rois),
        "agreement": agreement(every, encoder.rois),
        "measured": measured(every, encoder.maps),
        "unread": [sentence for _, sentence in bad],
    }  # fmt: skip
    shown = {name: _examples(images) for name, images in pictures.items()}
    return Result("localizer", dict(settings), maps, numbers, {}, shown, notes(encoder, settings["pictures"], bad))


def notes(encoder, source, bad=()):
    """What must stand beside a contrast."""
    out = [VARIANCE]
    if encoder.simulated:
        out.append(SIMULATED)
    if source == RENDERED:
        out.append(RENDERINGS)
    return out + ([f"{len(bad)} files were not used; the first: {bad[0][1]}"] if bad else [])


def _examples(images):
    """A few pictures as one stack: those of a folder may differ in size."""
    from PIL import Image

    return np.stack([np.asarray(Image.fromarray(np.asarray(x)).resize((112, 112))) for x in images[:EXAMPLES]])
