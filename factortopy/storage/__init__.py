"""Where FactorTopy keeps things and how it writes them; needs the standard library alone when it is imported."""
