"""The verbs check, extract, train and work."""

from factortopy.jobs.job import work_job


def work_verb(options):
    """``python -m factortopy work PATH``; 0, or 128 + n after signal n."""
    import signal

    from factortopy.commands import Ticker

    ticker = Ticker()
    try:
        job = work_job(options.path, options.queued, ticker, ticker.say)
    finally:
        ticker.finish()
    for number in (signal.SIGINT, signal.SIGTERM):
        if number.name in (job.reason or ""):
            return 128 + number
    return 0
