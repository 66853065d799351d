"""Brings machines to a desired state. It knows no tier and no scenario."""
