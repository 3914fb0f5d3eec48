"""Extracting a network's features of a subject's pictures as a job of the queue; a training then finds them."""

from factortopy.backbones.loading import load_backbone
from factortopy.encoder.films import reducing
from factortopy.errors import InputError, Stopped
from factortopy.features.extraction import extract
from factortopy.runs.settings import check_settings as check_training
from factortopy.subjects.loading import load_subject
from factortopy.subjects.progress import for_work, listening

KEYS = ("subject", "subject_id", "backbone", "weights", "pca")


def check_settings(settings):
    """Complete settings: subject, subject_id, backbone, weights, pca, as ``records.check_settings`` takes them."""
    unknown = sorted(set(settings) - set(KEYS))
    if unknown:
        raise InputError(f"settings: {unknown[0]!r} is not one of {', '.join(KEYS)}")
    full = check_training(settings)
    return {key: full[key] for key in KEYS}


def extract_job(job, on_progress):
    """Extract, from wherever the cache has got to."""
    s = job.settings

    def shown(stage):
        return lambda done, total: on_progress({"stage": stage, "step": done, "total": total})

    with listening(for_work(on_progress)):
        subject = load_subject(s["subject"], s["subject_id"])
    job.update(simulated=bool(subject.simulated))
    if on_progress({"stage": "network"}) is False:
        raise Stopped
    backbone = load_backbone(s["backbone"], s["weights"], shown("weights"))
    job.log(f"{backbone.name} on {subject.name}: {len(subject.images)} pictures")

    some = reducing(subject, s.get("pca"))
    features = extract(backbone, subject.images, on_progress=shown("features"), **some)
    if features is None:
        raise Stopped
    job.log(f"{len(features)} pictures, {len(features.local)} layers, on disk")
    return {"pictures": len(features), "layers": len(features.local), "simulated": bool(subject.simulated)}
