"""The mathematics of a parameter server: shards, what they refuse, and how they are restored."""
