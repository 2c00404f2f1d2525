"""The web doors: the webhook, health, the metrics, the JSON API and the pages.

`create_app` makes the whole of it from Doors, which say what it may use of the rest.
"""

from receiver.web.app import create_app
from receiver.web.doors import Doors

__all__ = ["Doors", "create_app"]
