"""One disease a file: what to look for, why it is bad, and what to change."""
