"""Datasets: one file or folder each, its reader and its LightningDataModule together."""
