"""The only code that talks to the outside: chain and blob store, each with a memory twin under one conformance suite."""
