"""The objects that the operator remembers, by key, in bounded memory."""
