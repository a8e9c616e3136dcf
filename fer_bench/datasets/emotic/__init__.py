"""EMOTIC (Kosti et al. 2019)."""
