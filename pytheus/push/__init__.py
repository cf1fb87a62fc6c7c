"""Sending metrics that no Prometheus scrapes: of batch jobs, functions, and machines behind a firewall.

Modules:

- `access`: credentials and TLS for a receiver
- `address`: the URL of a receiver, and how it is shown
- `client`: the HTTP client that sends
- `deadline`: sockets and names within a limit of time
"""

from typing import TYPE_CHECKING

from pytheus.lazy import lazy_names

if TYPE_CHECKING:
    from pytheus.push.access import Access

__all__ = ["Access"]

if not TYPE_CHECKING:  # because a checker would assume that the package has every name
    __getattr__, __dir__ = lazy_names(__name__, {"pytheus.push.access": ["Access"]})
