"""Tests of the protocol's pure layer. A package, so that its modules' names clash with no other directory's."""
