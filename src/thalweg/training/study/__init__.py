"""The training of a problem by its settings: planned, recorded, resumed, read back."""
