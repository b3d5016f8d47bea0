"""Commands that put load on a model server or check it."""
