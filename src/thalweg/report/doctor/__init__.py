"""What the doctor found, with pictures: in the terminal, and on a page."""
