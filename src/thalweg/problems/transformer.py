"""A small transformer: every character attends to those before it."""

import torch
from torch import Tensor, nn


class CharacterTransformer(nn.Module):
    """Characters (batch, time), whole numbers below ``letters``, to logits (batch, time, letters).

    Positions are learned, up to ``context``; layer normalization comes before attention and before
    the feed-forward part. Source: Vaswani et al., Attention is all you need, 2017.
    """

    def __init__(self, letters: int, context: int, width: int = 64, layers: int = 2) -> None:
        super().__init__()
        self.embedding = nn.Embedding(letters, width)
        self.position = nn.Parameter(0.02 * torch.randn(context, width))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, 4, 4 * width, dropout=0.0, activation="gelu", batch_first=True,
                norm_first=True,
            )
            for _ in range(layers)
        )  # fmt: skip
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, letters)

    def forward(self, characters: Tensor) -> Tensor:
        """Let every place see itself and what stands to its left."""
        length = characters.shape[1]
        hidden = self.embedding(characters) + self.position[:length]
        mask = nn.Transformer.generate_square_subsequent_mask(length, device=hidden.device)
        for layer in self.layers:
            hidden = layer(hidden, src_mask=mask, is_causal=True)
        return self.output(self.norm(hidden))
