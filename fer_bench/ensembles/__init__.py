"""Votes and selections over stored predictions; needs no PyTorch and no dataset."""
