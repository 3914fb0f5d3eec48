from .encoder import Encoder as Encoder
from .estimator import FactorTopyRegressor as FactorTopyRegressor
from .fitting import Progress as Progress
from .fitting import fit as fit
from .selectors import Selectors as Selectors
