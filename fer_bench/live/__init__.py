"""A trained network on a camera, a video or a folder of images."""
