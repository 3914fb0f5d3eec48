"""Extracting a network's features of a subject's pictures as a job of the queue; a training then finds them."""

from factortopy.errors import Stopped
from factortopy.jobs.contract import Kind, last_part, only
from factortopy.runs.settings import check_settings as check_training

KEYS = ("subject", "subject_id", "backbone", "weights", "pca")


class Extract(Kind):
    """Settings: subject, subject_id, backbone, weights, pca, as a training takes them."""

    name, words = "extract", "Features"

    def title(self, settings):
        subject = settings.get("subject_id") or last_part(settings["subject"])
        return f"{settings['backbone']} on the pictures of {subject}"

    def check_settings(self, settings):
        only(settings, *KEYS)
        full = check_training(settings)
        return {key: full[key] for key in KEYS}

    def work(self, job, on_progress):
        from factortopy.backbones.loading import load_backbone
        from factortopy.encoder.films import reducing
        from factortopy.features.extraction import extract
        from factortopy.subjects.loading import load_subject
        from factortopy.subjects.progress import for_work, listening

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

        features = extract(backbone, subject.images, on_progress=shown("features"), **reducing(subject, s.get("pca")))
        if features is None:
            raise Stopped
        job.log(f"{len(features)} pictures, {len(features.local)} layers, on disk")
        return {"pictures": len(features), "layers": len(features.local), "simulated": bool(subject.simulated)}
