"""Tokens, roles and keys: who asks, and whether they may."""
