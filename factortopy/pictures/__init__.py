"""Pictures and films from outside, read safely: any file, any orientation, any colour, or one line that says why not."""
