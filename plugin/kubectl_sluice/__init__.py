"""kubectl sluice: the plugin, and the web page."""
