"""Channel images: test pictures as areas, clusters and single vertices see them (paper, Figs. 7, 8, 25, 28–33)."""

import numpy as np

from factortopy.analysis.channels import Stretch, blank_features, channel_values
from factortopy.analysis.scores import painted
from factortopy.analysis.slope import LEVELS
from factortopy.errors import InputError
from factortopy.report import figures
from factortopy.report.answers import best_vertices
from factortopy.report.document import safe_name
from factortopy.report.missing import RUNS
from factortopy.report.picture_row import places

AREAS, CLUSTERS, VERTICES = 9, 4, 8
JOINT = "Middle grey: what a blank grey picture gives. One stretch a column: what drives an area less has less colour."


def draw(doc, entry, labels, n):
    """``n`` test pictures as the areas and clusters (``labels``, (N,) or None) of a network see them, and as single vertices do."""
    from factortopy.features.extraction import compute

    encoder, gallery = entry.first, entry.gallery
    if gallery is None:
        return
    groups, single = _groups(encoder, labels), _vertices(encoder)
    if not groups and not single:
        return
    chosen = np.linspace(0, len(gallery.image) - 1, n).round().astype(int)
    seen = []
    try:
        backbone = encoder.backbone()
        blank = blank_features(encoder)
        blanks = [channel_values(encoder, blank, who) for who in (*groups.values(), *single.values())]
        for i in chosen:
            picture = gallery.pictures[i]
            features = compute(backbone, picture, grid=None)
            wanted = [*groups.values(), *single.values()]
            seen.append([channel_values(encoder, features, who) for who in wanted])
    except InputError as error:
        short = f"channel images (Figs. 7, 8, 25, 28–33) of {entry.name}: its network cannot be loaded"
        doc.note(f"{entry.name}: channel images cannot be drawn. {error}", RUNS, short)
        return
    stretches = [Stretch.over(column, blank) for column, blank in zip(zip(*seen, strict=True), blanks, strict=True)]
    seen = [[stretch(values) for stretch, values in zip(stretches, line, strict=True)] for line in seen]
    shown = [(int(gallery.number[i]), gallery.pictures[i]) for i in chosen]
    if groups:
        _colours(doc, entry, shown, list(groups), [line[: len(groups)] for line in seen])
    if single:
        _greys(doc, entry, shown, single, [line[len(groups) :] for line in seen])


# ---------------------------------------------------------------- whose eyes


def _groups(encoder, labels):
    """{area or cluster: (N,) bool} of predicted vertices, the areas of the hierarchy first; one vertex alone has no colours."""
    use = painted(encoder)
    out = {name: encoder.rois[name] & use for name in _early_to_late(encoder.rois)}
    out = dict([(name, mask) for name, mask in out.items() if mask.sum() > 2][:AREAS])
    if labels is not None:
        first = range(min(CLUSTERS if out else 10, int(labels.max()) + 1))
        out |= {f"cluster {k + 1}": labels == k for k in first if (labels == k).sum() > 1}
    return out


def _vertices(encoder):
    """{area: row of the vertex that is predicted best}, from early to late areas."""
    best = best_vertices(encoder)
    return {name: best[name] for name in _early_to_late(encoder.rois) or best if name in best} if best else {}


def _early_to_late(rois):
    """Names of areas: those of the hierarchy by their level, then the others from large to small."""
    return sorted(rois, key=lambda name: (LEVELS[name], 0) if name in LEVELS else (2, -int(np.sum(rois[name]))))


# ---------------------------------------------------------------- figures


def _colours(doc, entry, shown, names, seen):
    """Red, green and blue of areas and clusters."""
    grid = [[picture, *line] for (_, picture), line in zip(shown, seen, strict=True)]
    drawn = figures.pictures(grid, [str(i) for i, _ in shown], ["picture", *names], doc.simulated, 0.7)
    rows = [
        {"picture": i, "area": name, **place, **dict(zip(("red", "green", "blue"), map(float, colour), strict=True))}
        for (i, _), line in zip(shown, seen, strict=True) for name, image in zip(names, line, strict=True)
        for place, colour in places(image)
    ]  # fmt: skip
    shows = "Red, green and blue are the three main directions of the channel weights of an area or a cluster, each as strong as it is. "
    shows += JOINT
    shows += _ends_alike("The first ones", names, [[image[..., 0] for image in line] for line in seen])
    title = f"Test pictures as areas and clusters see them: {entry.name}"
    paper = "After Figs. 25 and 28–33 (channel images)"
    doc.figure(f"channel-images-{safe_name(entry.name)}", title, drawn, rows, shows, paper)


def _greys(doc, entry, shown, single, seen):
    """Grey: how much each place of a picture drives one vertex."""
    encoder = entry.first
    names = list(single)[:VERTICES]
    seen = [line[: len(names)] for line in seen]
    grid = [[picture, *line] for (_, picture), line in zip(shown, seen, strict=True)]
    at = [encoder.vertices.place(single[name]) for name in names]
    titles = [f"{name}\n{side[0].upper()} {vertex}" for name, (side, vertex) in zip(names, at, strict=True)]
    drawn = figures.pictures(grid, [str(i) for i, _ in shown], ["picture", *titles], doc.simulated, 0.9)
    rows = [
        {"picture": i, "area": name, "hemisphere": side, "vertex": vertex, **place, "value": float(value)}
        for (i, _), line in zip(shown, seen, strict=True)
        for name, (side, vertex), image in zip(names, at, line, strict=True) for place, value in places(image)
    ]  # fmt: skip
    shows = "The vertex of each area that is predicted best (L left, R right, its number): bright where its channels answer most. "
    shows += JOINT
    shows += _ends_alike("Those", names, seen)
    title = f"Test pictures as single vertices see them: {entry.name}"
    paper = "After Figs. 25 and 28–33 (channel image of one vertex)"
    doc.figure(f"channel-vertices-{safe_name(entry.name)}", title, drawn, rows, shows, paper)


def _ends_alike(whose, names, seen):
    """A sentence: how much the images of the earliest and of the latest area of the hierarchy correlate, on average over pictures."""
    ordered = [name for name in names if name in LEVELS] or names
    if len(ordered) < 2:
        return ""
    first, last = ordered[0], ordered[-1]
    ends = [(line[names.index(first)], line[names.index(last)]) for line in seen]
    r = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in ends if a.std() and b.std()]
    mean = f"{np.mean(r) if r else np.nan:.2f}".replace("-", "−")
    return f" {whose} of {first} and {last} correlate with r = {mean} over the pictures' places."
