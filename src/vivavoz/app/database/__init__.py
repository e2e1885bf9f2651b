"""What the application remembers beyond its own life: which calls it observes, and which it recorded.

Blocking, by SQLAlchemy, on one thread of its own: SQLite has one writer at a time anyway.
"""

from vivavoz.app.database.calls import DatabaseCallStore
from vivavoz.app.database.database import Database, DatabaseError, database_url

__all__ = ["Database", "DatabaseCallStore", "DatabaseError", "database_url"]
