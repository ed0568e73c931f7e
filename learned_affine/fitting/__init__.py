"""Improves a policy: one step, and the loop around it."""
