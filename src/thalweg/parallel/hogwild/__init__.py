"""Hogwild!: threads and processes that update shared memory without locks (Recht et al. 2011)."""
