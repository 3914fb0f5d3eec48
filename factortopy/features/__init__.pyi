from .estimate import Plan as Plan
from .estimate import plan as plan
from .extraction import Features as Features
from .extraction import compute as compute
from .extraction import extract as extract
from .extraction import extract_many as extract_many
