"""Pure statistics on arrays, no I/O."""
