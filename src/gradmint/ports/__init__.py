"""The only code that talks to the outside: a chain and a blob store, each with a memory twin under one conformance suite."""
