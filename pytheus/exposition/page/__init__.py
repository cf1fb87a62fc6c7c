"""The page that browsers get at the path of the metrics, and the overview that it reads.

Modules and files:

- `document`: the page, one HTML document without any data
- `overview`: its other data, as JSON: families, registry, processes, failures
- `scrubbing`: errors without credentials
- `page.html`, `page.css`, `page.js`: the sources of the document

The document is a constant. It reads families and their numbers from the path that it came from, in the formats that
scrapes have, so that it works wherever the metrics are mounted. It is imported when the first browser asks.
"""

from typing import Final

from pytheus.exposition.page.document import PAGE
from pytheus.exposition.page.overview import OVERVIEW

__all__ = ["OVERVIEW", "PAGE", "PAGE_FORMATS"]

PAGE_FORMATS: Final = (OVERVIEW, PAGE)
"""The formats for browsers, the last ones among those that a client may prefer."""
