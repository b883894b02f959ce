"""A small legacy shop for these tests."""

from tests.frame.shop import instance, shop, stored_instance

__all__ = ["instance", "shop", "stored_instance"]
