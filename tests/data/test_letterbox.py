import numpy as np
import pytest

from fer_bench.data.letterbox import letterbox


@pytest.mark.parametrize(
    ("height", "width", "rows", "columns"),
    [
        (600, 800, (0, 600), (0, 800)),
        (1200, 1600, (0, 600), (0, 800)),
        (300, 800, (150, 450), (0, 800)),
        (600, 400, (0, 600), (200, 600)),
        (75, 50, (0, 600), (200, 600)),
        (1, 3000, (299, 300), (0, 800)),
    ],
)
def test_fills_the_frame_keeps_the_ratio_and_centres(height, width, rows, columns):
    framed = letterbox(np.full((height, width, 3), 200, dtype=np.uint8), 800, 600)
    assert framed.shape == (600, 800, 3)
    filled = np.zeros((600, 800), dtype=bool)
    filled[slice(*rows), slice(*columns)] = True
    assert (framed[filled] == 200).all()
    assert not framed[~filled].any()


def test_keeps_the_picture_and_takes_grey_images():
    image = np.zeros((60, 80), dtype=np.uint8)
    image[:30] = 255
    framed = letterbox(image, 40, 60)
    assert framed.shape == (60, 40)
    assert (framed[15:29] == 255).all()
    assert not framed[31:].any()
    assert letterbox(image[..., None], 40, 60).shape == (60, 40, 1)
