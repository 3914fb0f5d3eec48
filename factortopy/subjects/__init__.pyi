from .loading import check_name as check_name
from .loading import load_subject as load_subject
from .names import DEMO_SUBJECTS as DEMO_SUBJECTS
from .names import DENSITY as DENSITY
from .names import demo_number as demo_number
from .split import Split as Split
from .subject import Subject as Subject
