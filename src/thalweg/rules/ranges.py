"""The legal and the searched range of each kind of hyperparameter, as annotations for rules."""

from typing import Annotated

from thalweg.algebra import Range


def _rate(low: float, high: float) -> Range:
    return Range(low=0.0, search=(low, high), scale="log")


GradientRate = Annotated[float, _rate(3e-3, 3.0)]
MomentumRate = Annotated[float, _rate(1e-3, 1.0)]
AdaptiveRate = Annotated[float, _rate(1e-4, 1e-1)]
SignRate = Annotated[float, _rate(1e-5, 1e-2)]
LayerRate = Annotated[float, _rate(1e-1, 100.0)]
RatioRate = Annotated[float, _rate(1e-2, 10.0)]

Beta = Annotated[float, Range(0.0, 1.0, open_high=True, search=(0.5, 0.999), scale="log1m")]
Fraction = Annotated[float, Range(0.0, 1.0, search=(0.5, 0.999), scale="log1m")]
Momentum = Annotated[float, Range(low=0.0, search=(0.5, 0.999), scale="log1m")]
Epsilon = Annotated[float, Range(low=0.0, search=(1e-10, 1e-4), scale="log")]
Decay = Annotated[float, Range(low=0.0, search=(1e-5, 1.0), scale="log")]
NonNegative = Annotated[float, Range(low=0.0)]
Positive = Annotated[float, Range(low=0.0, open_low=True)]
PositiveRate = Annotated[float, Range(0.0, open_low=True, search=(1e-4, 1e-1), scale="log")]
Count = Annotated[float, Range(low=1.0)]
Seed = Annotated[float, Range(low=0.0, high=2.0**32 - 1, whole=True)]
Index = Annotated[float, Range(low=0.0, whole=True)]
Shrink = Annotated[float, Range(0.0, 1.0, open_low=True, open_high=True)]
Grow = Annotated[float, Range(low=1.0, open_low=True)]
