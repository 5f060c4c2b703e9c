"""A real Redis server for tests."""

from e2e.redis_server import RedisServer, is_installed

__all__ = ["RedisServer", "is_installed"]
