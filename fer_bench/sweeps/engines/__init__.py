"""Engines carry out the jobs of a suite somewhere: in processes of this machine, on a Ray cluster, by SLURM.

A *job* is one folder with ``task.json`` and one command, ``python -m <job.module> <folder>``, which reads the task,
does it, and writes into the same folder ``result.json`` and ``outbox/``, a store with the records and their
predictions. What the task is an engine does not know, and it writes no record: the driver
(:mod:`fer_bench.apps.suites.driver`) takes the outbox into the store, renders the boards, and decides what is tried
again. All engines share what is in :mod:`~fer_bench.sweeps.engines.processes`: the process of a job has a group and a
log of its own, and a watcher that ends the whole group, loaders and ranks too, when the process that started it dies.

To add an engine:

1. ``fer_bench/sweeps/engines/mine.py`` with a class that follows :class:`~fer_bench.sweeps.engines.seam.Engine`:
   ``room`` says whether a job could begin, ``start`` begins it. A scheduler with a queue of its own takes all of them
   (``queues = True``), and takes over what an earlier driver has left in its queue (``adopt``). ``poll`` names those
   that have ended, with their folder complete at the driver, or that were lost with their node; it does not wait.
   ``stop`` ends what was started, ``close`` lets go of the rest. Where the nodes do not see the driver's folder, the
   engine carries it there and back (``seam.packed``, ``seam.unpacked``).
2. Its line in :func:`fer_bench.sweeps.engines.choose.make_engine`, its options in
   :class:`fer_bench.sweeps.engines.choose.EngineOptions` (they become flags of ``fer-bench suite``), its package in
   ``fer_bench/packages.py``.
3. ``tests/sweeps/test_engines.py`` has the jobs that every engine must carry out: one that is done, one that fails, one
   that dies, one that is stopped with its children.
"""
