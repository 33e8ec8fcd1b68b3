"""An engine in this process: a simulation of any number of workers, the same on every run."""
