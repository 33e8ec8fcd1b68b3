"""Which learning rate: a range test, the stable rates of the curvature, and short runs to confirm."""
