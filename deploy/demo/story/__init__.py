"""The demo's director: sets the stage with real parts, breaks the shop, and tells what the parts themselves report.

`scripts/demo` runs it; it reads no part's mind: every line of the story was seen through an API.
"""
