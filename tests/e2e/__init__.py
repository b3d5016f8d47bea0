"""The whole on a real node: gateway, Prometheus, model server and object store, under real traffic."""
