"""Where things lie in the two arrays of 64-bit integers through which a launch is described.

The *control* block says how many rows have host values of their own, where the other arrays begin
and which threads run. The *table* has one line per parameter; where a gradient is sparse, a line
per touched row of it follows that of the parameter, whose host values they share.
"""

CONTROL_WORDS = 64
ROWS, CHUNKS, TABLE, GRADIENTS, HYPERS, STORED, PARTIALS, PARALLEL, THREADS = range(9)
BODIES = 16  # addresses of the loops: one per pass of reductions, then the element loop
NEXT = 40  # the next unclaimed run of chunks, on a cache line of its own

LENGTH, FIRST_CHUNK, END_CHUNK, GROUP, STEP, STORED_ROW, INDEX, PARAMETER = range(8)
SLOTS = 8  # addresses of the element slots, then of the scalar slots

CHUNK = 16384  # elements of which one partial sum is kept
RUNS = 32  # of consecutive chunks that each thread claims, if there are that many
PARALLEL_FROM = 32768  # elements below which waking a second thread costs more than it saves
