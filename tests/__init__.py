"""The tests, in rooms that mirror the project's; the servers they talk to are real and live in `tests/servers`."""
