"""Duties. Each role reads as the list of what it must do in a round.

The driver does the waiting, sending and resuming.
"""

#: Rounds, unless a publisher chooses otherwise: where checkpoints are looked for first.
CHECKPOINT_EVERY = 10
