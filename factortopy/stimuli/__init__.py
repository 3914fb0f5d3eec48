"""Rendered pictures and moving stimuli whose content is known; the demo and the Lab share them."""
