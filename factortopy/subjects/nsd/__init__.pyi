from .layout import load_nsd as load_nsd
