"""Commands about what a version was judged by."""
