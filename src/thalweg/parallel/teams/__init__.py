"""One problem trained by teams of different sizes: carried out, recorded, and read back."""
