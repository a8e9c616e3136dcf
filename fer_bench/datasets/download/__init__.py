"""Download the images of a dataset from a list of links."""
