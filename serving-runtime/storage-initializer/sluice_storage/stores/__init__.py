"""One module for each kind of source, and how they transfer."""
