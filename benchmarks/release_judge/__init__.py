"""Simulated rollouts: the judge of `identity_masker.release` beside what other tools would have said."""
