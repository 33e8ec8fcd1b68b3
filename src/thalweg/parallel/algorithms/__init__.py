"""What workers compute and when they talk to the server: scripts that know no engine."""
