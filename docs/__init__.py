"""Pages that are measured or drawn, and the scripts that write them: `make docs`."""
