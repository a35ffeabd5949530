"""Reputation at scale: :mod:`gradmint.spec.reputation` and :mod:`gradmint.spec.walks` compiled, to the same bits.

Only what runs imports numba, so nothing else waits for it. Compiled code is kept beside the sources.
"""
