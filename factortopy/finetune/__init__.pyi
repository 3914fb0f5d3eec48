from .drawings import write_drawings as write_drawings
from .folder import read_folder as read_folder
from .recipe import DEFAULTS as DEFAULTS
from .recipe import check_settings as check_settings
from .training import Result as Result
from .training import finetune as finetune
