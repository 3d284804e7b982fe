"""Edge cases and random inputs, one module for each kind of function."""
