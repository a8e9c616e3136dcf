"""Trained networks in use: prediction on images, and export."""
