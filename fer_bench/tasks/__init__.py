"""LightningModules: one per kind of prediction."""
