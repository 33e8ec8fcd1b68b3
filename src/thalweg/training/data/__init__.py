"""What is trained on: forms of data, their batches, and the order in which examples are seen."""
