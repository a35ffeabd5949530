"""Gradmint pays for machine-learning updates by what they are measurably worth.

Read in this order to follow one update from trainer to payout: :mod:`gradmint.roles.trainer`, :mod:`gradmint.learn`,
:mod:`gradmint.ports`, :mod:`gradmint.roles.verifier`, :mod:`gradmint.spec`, :mod:`gradmint.roles.auditor`.
"""
