from .job import Job as Job
from .job import list_all as list_all
from .job import list_jobs as list_jobs
from .queue import cancel as cancel
from .queue import resume as resume
from .queue import submit as submit
from .queue import submit_job as submit_job
