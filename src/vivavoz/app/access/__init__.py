"""Who calls the application, from which pages, and how much they may use."""

from vivavoz.app.access.access import Access, User

__all__ = ["Access", "User"]
