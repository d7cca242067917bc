"""The embedded stack: everything on one machine without containers."""
