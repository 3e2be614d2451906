"""A local, strict Entra over real HTTP, for the demo and the tests. Not deployed: it needs development dependencies."""
