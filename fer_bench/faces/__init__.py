"""Faces in images: detection, crops, where their parts are, and attributes that follow."""
