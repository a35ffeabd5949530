"""The only code that talks outward: chain and blob store, each with a memory twin under one conformance suite."""
