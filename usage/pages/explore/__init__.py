"""Explore: one question about a tenant's usage, with its chart and its table."""

from usage.pages.explore.page import ExplorePage

__all__ = ["ExplorePage"]
