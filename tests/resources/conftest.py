"""A small legacy shop for every test of this room."""

from tests.frame.shop import instance, shop, stored_instance

__all__ = ["instance", "shop", "stored_instance"]
