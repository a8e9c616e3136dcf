"""Predictions from any program, scored as rows: what they are asked, how they are read, checked and recorded."""
