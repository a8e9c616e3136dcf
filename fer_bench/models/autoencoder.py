"""The convolutional autoencoder of An, Liu and Zheng, "Emotion Detection with CNN Ensembles and CNN Autoencoders",
Tables 2 to 4.

Table 2 prints three poolings, but its linear layer takes 256 x 3 x 3, which 48 px reach only after four, and the
decoder of Table 3 has four unpoolings: a fourth pooling after the last pair of convolutions is missing from the table,
and is added here. Table 4 ends the classifier in a sigmoid; the classifier here returns logits, and the loss decides
(softmax cross-entropy by default, ``sigmoid_cross_entropy`` for the paper's).
"""

from __future__ import annotations

import torch
from torch import nn

WIDTHS = (32, 64, 128, 256)


class Encoder(nn.Module):
    """Images to codes; keeps where each maximum was, for the unpooling.

    Args:
        code: length of the code, 200 to 1000 in the paper, 686 by default.
        in_channels: 3 in the paper.
        image_size: side of the input, a multiple of 16.
    """

    def __init__(self, code: int = 686, in_channels: int = 3, image_size: int = 48) -> None:
        super().__init__()
        before = (in_channels, *WIDTHS[:-1])
        self.blocks = nn.ModuleList(
            nn.Sequential(*_convolution(a, b), *_convolution(b, b)) for a, b in zip(before, WIDTHS, strict=True)
        )
        self.pool = nn.MaxPool2d(2, return_indices=True)
        self.linear = nn.Linear(WIDTHS[-1] * (image_size // 16) ** 2, code)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Codes (B, code) and the four poolings' indices, of images (B, in_channels, S, S)."""
        places = []
        for block in self.blocks:
            x, indices = self.pool(block(x))
            places.append(indices)
        return self.linear(x.flatten(1)), places


class Decoder(nn.Module):
    """Codes back to images, unpooling to where the encoder's maxima were.

    Args:
        code: length of the code.
        out_channels: of the image.
        image_size: side of the image.
    """

    def __init__(self, code: int = 686, out_channels: int = 3, image_size: int = 48) -> None:
        super().__init__()
        self.side = image_size // 16
        self.linear = nn.Linear(code, WIDTHS[-1] * self.side**2)
        self.unpool = nn.MaxUnpool2d(2)
        self.blocks = nn.ModuleList(
            [
                nn.Sequential(*_transposed(256, 256)),
                nn.Sequential(*_transposed(256, 128)),
                nn.Sequential(*_transposed(128, 128), *_transposed(128, 64)),
                nn.Sequential(*_transposed(64, 64), *_transposed(64, 32)),
            ]
        )
        self.last = nn.Sequential(*_transposed(32, 32), nn.ConvTranspose2d(32, out_channels, 3, padding=1))

    def forward(self, codes: torch.Tensor, places: list[torch.Tensor]) -> torch.Tensor:
        """Images (B, out_channels, S, S) from codes (B, code) and the encoder's indices."""
        x = self.linear(codes).unflatten(1, (WIDTHS[-1], self.side, self.side))
        for block, indices in zip(self.blocks, reversed(places), strict=True):
            x = self.unpool(block(x), indices)
        return self.last(x)


class AutoencoderClassifier(nn.Module):
    """Encoder, decoder and classifier; as a network it returns logits.

    Args:
        num_classes: outputs.
        image_size: side of the input.
        code: length of the code.
        dropout: inside the classifier.
        decoder: False leaves the decoder out: the same encoder and classifier, for comparison.
    """

    def __init__(
        self, num_classes: int, image_size: int = 48, code: int = 686, dropout: float = 0.5, decoder: bool = True
    ) -> None:
        super().__init__()
        self.encoder = Encoder(code, image_size=image_size)
        self.decoder = Decoder(code, image_size=image_size) if decoder else None
        self.classifier = nn.Sequential(
            nn.Linear(code, 512), nn.ReLU(), nn.Dropout(dropout), nn.Linear(512, num_classes)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (B, num_classes)."""
        return self.classifier(self.encoder(x)[0])

    def reconstruct(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Codes (B, code) and reconstructions (B, 3, S, S)."""
        assert self.decoder is not None
        codes, places = self.encoder(x)
        return codes, self.decoder(codes, places)


def _convolution(before: int, after: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]


def _transposed(before: int, after: int) -> list[nn.Module]:
    return [nn.ConvTranspose2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
