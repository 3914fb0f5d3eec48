"""The simulated lab on a fitted encoder: retinotopy, contrasts of categories, lesions, activation maximization, motion.

The experiments are the modules retinotopic, localizer, lesions, maximization and moving; the others are what they are made of. No
module may bear the name of a function that is offered here.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
