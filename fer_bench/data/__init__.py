"""Datasets: one file each, its reader and its LightningDataModule together."""
