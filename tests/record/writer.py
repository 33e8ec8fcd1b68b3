"""A process that writes to a record until it is done or killed, and says what it has flushed.

python writer.py PATH FIRST LAST [RUN]: emits the events FIRST to LAST in flushes of ten, to a new
run or to RUN. It prints the run, then the last step of each flush after it.
"""

import sys

from thalweg import record


def write(path: str, first: int, last: int, resumed: str | None = None) -> None:
    book = record.open(path)
    run = book.resume(resumed) if resumed else book.begin("digits", {"lr": 0.1})
    print(run.id, flush=True)
    for step in range(first, last + 1):
        run.emit("loss", step, step / 7)
        if step % 10 == 9:
            run.flush()
            print(step, flush=True)
    run.end("finished")


if __name__ == "__main__":
    path, first, last, *resumed = sys.argv[1:]
    write(path, int(first), int(last), *resumed)
