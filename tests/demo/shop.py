"""The sample shop: its tables and rows, the same in both databases and for every run."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from tests.support.words import Words

Row = tuple[object, ...]

CUSTOMERS = 20_000
PRODUCTS = 2_000
ORDERS = 80_000
_STATES = ("new", "paid", "shipped", "shipped", "shipped", "returned", "naïve \t ✓")
_OPENED = datetime(2026, 1, 1)


@dataclass(frozen=True, slots=True)
class Table:
    """`columns` and `constraint` are SQL that SQLite and PostgreSQL both read."""

    name: str
    columns: tuple[str, ...]
    rows: Iterable[Row]
    constraint: str = ""

    @property
    def definition(self) -> str:
        return ", ".join(filter(None, (*self.columns, self.constraint)))


def tables() -> Iterator[Table]:
    """In an order in which they can be filled, each read before the next."""
    rng = random.Random(20260101)
    words = Words(rng)
    yield Table(
        "customers",
        ("id bigint PRIMARY KEY", "name text NOT NULL", "email text NOT NULL", "note text"),
        _customers(rng, words),
    )
    yield Table(
        "products",
        ("id bigint PRIMARY KEY", "name text NOT NULL", "about text", "picture bytea"),
        _products(rng, words),
    )
    yield Table(
        "orders",
        (
            "id bigint PRIMARY KEY",
            "customer_id bigint NOT NULL REFERENCES customers",
            "placed_at timestamp NOT NULL",
            "state text NOT NULL",
            "wish text",
        ),
        _orders(rng, words),
    )
    yield Table(
        "order lines",
        (
            "order_id bigint NOT NULL REFERENCES orders",
            "position bigint NOT NULL",
            "product_id bigint NOT NULL REFERENCES products",
            "pieces bigint NOT NULL",
            "cents bigint NOT NULL",
        ),
        _order_lines(rng),
        "PRIMARY KEY (order_id, position)",
    )


def _customers(rng: random.Random, words: Words) -> Iterator[Row]:
    for number in range(1, CUSTOMERS + 1):
        name = words.phrase(2, 3).title()
        email = f"{name.replace(' ', '.').lower()}.{number}@example.org"
        yield number, name, email, words.phrase(5, 30) if rng.random() < 0.6 else None


def _products(rng: random.Random, words: Words) -> Iterator[Row]:
    for number in range(1, PRODUCTS + 1):
        yield number, words.phrase(1, 3), words.phrase(40, 120), rng.randbytes(2000)


def _orders(rng: random.Random, words: Words) -> Iterator[Row]:
    moment = _OPENED
    for number in range(1, ORDERS + 1):
        moment += timedelta(seconds=rng.randrange(600), microseconds=rng.randrange(1_000_000))
        wish = words.phrase(3, 20) if rng.random() < 0.3 else None
        yield number, rng.randint(1, CUSTOMERS), str(moment), rng.choice(_STATES), wish


def _order_lines(rng: random.Random) -> Iterator[Row]:
    for order in range(1, ORDERS + 1):
        for position in range(1, rng.randint(1, 6) + 1):
            pieces, cents = rng.randint(1, 9), rng.randrange(100, 90_000)
            yield order, position, rng.randint(1, PRODUCTS), pieces, cents
