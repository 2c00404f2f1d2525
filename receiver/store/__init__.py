"""The ledger: deliveries, episodes, runs, steps and the audit log in one relational store.

One code path on SQLAlchemy Core serves SQLite and PostgreSQL; each file of queries is about one noun.
"""

from receiver.store.ledger import Ledger
from receiver.store.writer import StoreError

__all__ = ["Ledger", "StoreError"]
