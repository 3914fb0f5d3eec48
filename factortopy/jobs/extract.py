"""Extracting a network's features of a subject's pictures as a job of the queue; a training then finds them."""

from factortopy.errors import Stopped
from factortopy.jobs.contract import Kind, last_part, only
from factortopy.runs.settings import EXTRACTION
from factortopy.runs.settings import check_settings as check_training

KEYS = tuple(key for key in EXTRACTION if key != "pictures")  # of all pictures


class Extract(Kind):
    """Settings: subject, subject_id, backbone, weights, pca, precision, as a training takes them."""

    name, words = "extract", "Features"

    def title(self, settings):
        subject = settings.get("subject_id") or last_part(settings["subject"])
        return f"{settings['backbone']} on the pictures of {subject}"

    def check_settings(self, settings):
        only(settings, *KEYS)
        full = check_training(settings)
        # A precision only where one is asked for: the same wish is the same folder, as before there was a choice.
        return {key: full[key] for key in KEYS if key != "precision" or full[key]}

    def work(self, job, on_progress):
        from factortopy.runs.extraction import extract_features

        def on_subject(subject):
            job.update(simulated=bool(subject.simulated))
            if on_progress({"stage": "network"}) is False:
                raise Stopped

        def on_network(subject, backbone):
            job.log(f"{backbone.name} on {subject.name}: {len(subject.images)} pictures")
            for notice in backbone.notices:
                job.log(f"{backbone.name}: {notice}")

        subject, _, features = extract_features(job.settings, on_progress, on_subject, on_network)
        job.log(f"{len(features)} pictures, {len(features.local)} layers, on disk")
        return {"pictures": len(features), "layers": len(features.local), "simulated": bool(subject.simulated)}
