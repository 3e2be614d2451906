"""The infrastructure against the code, without Azure: parsed, not compiled (infra/README.md says what is left open)."""
