"""Frozen backbones: cached features, whole grids of linear heads trained at once, late fusion of streams."""
