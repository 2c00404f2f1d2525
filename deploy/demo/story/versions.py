"""The versions of the shop, as images of one repository; every service runs from the same one.

The engines make them, and a deployment puts one in the place of another.
"""

GOOD = "1.0.0"
BAD = "1.1.0"

ENVIRONMENTS = {
    GOOD: {"SHOP_VERSION": GOOD},
    BAD: {"SHOP_VERSION": BAD, "SHOP_FAULTS": '{"errors": 0.7}'},
}
"""What each image brings: a fault in there outlives every restart, and only another image mends it."""


def tag(version: str) -> str:
    return f"amend-demo/shop:{version}"
