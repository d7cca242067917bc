"""Drift: what comes in now against what the model was trained on."""
