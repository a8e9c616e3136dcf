"""The site: boards that can be sorted, filtered and downloaded, a page for every row, dataset and paper, as static
files; needs no PyTorch.
"""
