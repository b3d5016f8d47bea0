"""`make release VERSION=…`: everything that a version of Sluice is, from the commit alone, into `dist/VERSION`."""
