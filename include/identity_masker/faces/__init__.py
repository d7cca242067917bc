"""Faces: rendering, readers, descriptors, expectations, splits, snapshots."""
