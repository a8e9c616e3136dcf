"""A window, where there is a screen."""

from __future__ import annotations

import os
import sys

import cv2
import numpy as np
import numpy.typing as npt

from fer_bench.errors import HardwareError

TITLE = "fer-bench live (q ends)"
_QUIT = {ord("q"), 27}


def has_screen() -> bool:
    """Whether a window can be opened; asked before OpenCV is, because its Qt ends the process where there is none."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


class Screen:
    """OpenCV's window; only to be used in the main thread."""

    def __init__(self) -> None:
        self._shown = False

    def show(self, image: npt.NDArray[np.uint8]) -> None:
        """Show a frame: BGR, uint8 (H, W, 3).

        Raises:
            HardwareError: this OpenCV was built without windows.
        """
        try:
            cv2.imshow(TITLE, image)
        except cv2.error:
            problem = "this OpenCV cannot open a window."
            raise HardwareError(
                problem, "Use --headless with --output, or install opencv-python instead of opencv-python-headless."
            ) from None
        self._shown = True

    def wants_to_end(self) -> bool:
        """Attend to the window: whether q or Escape was pressed, or the window closed."""
        if not self._shown:
            return False
        if cv2.waitKey(1) & 0xFF in _QUIT:
            return True
        return bool(cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1)

    def close(self) -> None:
        """Close the window."""
        if self._shown:
            cv2.destroyWindow(TITLE)
