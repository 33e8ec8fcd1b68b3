"""Which learning rate: a range test, the curvature's stable rates, and short runs to confirm."""
