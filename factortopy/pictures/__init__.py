"""Pictures: rendered scenes whose content is known, and safe reading of picture files."""
