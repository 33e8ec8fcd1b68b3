"""Holds the doctor against trainings whose author had not seen its checks.

    python benchmarks/unseen.py                  every run and what was found, and the summary
    python benchmarks/unseen.py GD202 curve      the runs of a code, and those of a name
    python benchmarks/unseen.py GD202 --report   also what the doctor says of each
    python benchmarks/unseen.py --write          also put the table into benchmarks/README.md

Each run is watched as it comes. Needs MNIST, CIFAR-10 and tiny Shakespeare in THALWEG_DATA.
"""
