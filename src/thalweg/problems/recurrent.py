"""A character LSTM: it reads one character after another and says what comes next."""

from torch import Tensor, nn


class CharacterLSTM(nn.Module):
    """Characters (batch, time), whole numbers below ``letters``, to logits (batch, time, letters).

    Source: Hochreiter and Schmidhuber, Long short-term memory, 1997.
    """

    def __init__(self, letters: int, width: int = 128) -> None:
        super().__init__()
        self.embedding = nn.Embedding(letters, width)
        self.lstm = nn.LSTM(width, width, batch_first=True)
        self.output = nn.Linear(width, letters)

    def forward(self, characters: Tensor) -> Tensor:
        """Start from an empty memory and read every row from left to right."""
        return self.output(self.lstm(self.embedding(characters))[0])
