"""Releases: the policy, the evidence, and the judge that turns one into a verdict by the other."""
