"""The review pages: rendered on the server, readable without scripts."""
