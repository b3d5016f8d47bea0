"""The model downloader: an init container that fetches a model and lays it out for its server."""
