"""Samples and batches: splits, augmentation, decoding, caches and duplicates; the same for every dataset."""
