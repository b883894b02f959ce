"""A small legacy shop for every test of this room, and one sample that was run, for those that look at what a run leaves behind."""

from tests.frame.sample_site import sample_site
from tests.frame.shop import instance, shop, stored_instance

__all__ = ["instance", "sample_site", "shop", "stored_instance"]
