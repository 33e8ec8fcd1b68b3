"""`watch` inside the trainers of other libraries, as the callback that each of them takes.

Nothing here is imported by the rest, for each file needs its library: ``pip install
'thalweg[hosts]'``.
"""
