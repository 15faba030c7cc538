"""Reading a company's own pages: only its hosts, only public addresses, within caps.

    Fetcher().read("acme.com", ["/", "/about"])     the pages as text, and why others could not be read

It takes a domain and gives back values. What becomes of the pages is for whoever asked.
"""

from enrichment.fetch.guard import Forbidden, permitted, plain_host
from enrichment.fetch.pages import Fetcher, Page, Unread

__all__ = ["Fetcher", "Forbidden", "Page", "Unread", "permitted", "plain_host"]
