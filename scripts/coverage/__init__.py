"""Which lines the tests run: `make coverage`."""
