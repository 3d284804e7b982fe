"""Edge cases and random inputs, by the kind of function that is checked."""
