"""Measurements of the package: a folder a question, whose ``run`` makes rows and whose ``report`` makes the page."""
