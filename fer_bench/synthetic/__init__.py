"""Synthetic faces and scenes: who shows what, and the renderer."""
