"""Connected systems: what they say becomes events, what was accepted goes back, and how it went is known."""
