"""Does the queue's work in a thread of the test's process: a page's test then needs no worker (which has tests of its own)."""

import threading

from factortopy.jobs import job, queue

_one = threading.Lock()


def serve(monkeypatch):
    """From now on what is submitted is done here, in its order."""

    def drain():
        with _one:
            while (task := queue.queue().dequeue()) is not None:
                job.work_job(job.find(task.args[0]).path, queued=True)

    monkeypatch.setattr(
        "factortopy.jobs.queue.ensure_worker", lambda: threading.Thread(target=drain, daemon=True).start()
    )
