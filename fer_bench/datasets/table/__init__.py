"""A table of images and labels as a dataset."""
