"""The web page: `kubectl sluice` for a browser. It has no rights of its own, and changes nothing.

browser ── cookie, or a bearer token ──> guard ──> pages ──> views
                                           │         └─ reading, fleetwatch ── the reader's token ──> API server
                                           └─ sessions: tokens, in memory alone
"""
