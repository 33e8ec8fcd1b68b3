"""What acts on a training: stopping, averages, snapshots, batch normalization, feedback."""
