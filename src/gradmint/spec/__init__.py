"""The protocol as pure functions over integers and bytes; imports nothing but the standard library."""
