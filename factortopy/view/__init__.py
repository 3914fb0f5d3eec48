"""Colours, maps and the browser's brain view. Streamlit is imported only when ``brain_view`` draws."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
