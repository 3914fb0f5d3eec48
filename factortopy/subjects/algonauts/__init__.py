"""Algonauts 2023 subjects' folders."""
