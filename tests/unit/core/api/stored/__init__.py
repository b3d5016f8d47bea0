"""Objects as each tagged version of Sluice stored them, in a folder for each; never changed, never removed.

`python -m tests.unit.core.api.stored TAG` writes those of this checkout, once, when a version is tagged.
"""
