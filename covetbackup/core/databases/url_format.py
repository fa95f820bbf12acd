"""The common format of addresses of database servers: kind://user@host:port/database?name=value.

Each kind says in its own `url` what its addresses mean.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, quote, urlsplit

from covetbackup.core.errors import BadSetting


@dataclass(frozen=True, slots=True)
class UrlFormat:
    """The format of a kind's addresses.

    `product` is for messages; the first of `schemes` is the one that is written.
    """

    product: str
    schemes: tuple[str, ...]
    parameters: tuple[str, ...]

    @property
    def shape(self) -> str:
        """The hint that shows the format."""
        return (
            f"the form is {self.schemes[0]}://user@host:port/database, special characters written"
            " as %XX"
        )

    def read(self, url: str) -> tuple[SplitResult, dict[str, str]]:
        """Parse an address; return its parts and its parameters.

        Raises `BadSetting` for anything else, for parameters not listed, and for a password: in an
        address it would end up in process lists, logs and histories.
        """
        # urlsplit drops tabs and line ends anywhere in an address, which would change a name.
        if any(character in url for character in "\t\r\n"):
            hint = "write it as %09, %0A or %0D"
            raise BadSetting(f"a {self.product} address holds a tab or line end", hint)
        try:
            parts = urlsplit(url)
            parts.port  # noqa: B018 - reading it is what validates it
        except ValueError as error:
            raise BadSetting(f"not a valid {self.product} address", self.shape) from error
        if parts.password is not None:
            raise self._password_in_it()
        if parts.scheme not in self.schemes or parts.fragment:
            raise BadSetting(f"not a {self.product} address", self.shape)
        return parts, self._parameters(parts.query)

    def _parameters(self, query: str) -> dict[str, str]:
        pairs = parse_qsl(query, keep_blank_values=True)
        parameters = dict(pairs)
        if len(parameters) != len(pairs):
            raise BadSetting(f"a parameter of a {self.product} address is given twice")
        for name in parameters:
            if name == "password":
                raise self._password_in_it()
            if name not in self.parameters:
                allowed = f"allowed are: {', '.join(self.parameters)}"
                raise BadSetting(f"a {self.product} address may not set {name!r}", allowed)
        return parameters

    def _password_in_it(self) -> BadSetting:
        return BadSetting(f"a {self.product} address holds a password", "use --password-file")

    def write(
        self, *, user: str, host: str, port: int, database: str, parameters: Mapping[str, str]
    ) -> str:
        """Return an address, which `read` parses; parameters without a value are left out."""
        place = f"[{host}]" if ":" in host else host
        given = "&".join(f"{name}={quote(value)}" for name, value in parameters.items() if value)
        address = f"{quote(user, safe='')}@{place}:{port}/{quote(database, safe='')}"
        return f"{self.schemes[0]}://{address}" + (f"?{given}" if given else "")


@contextmanager
def scratch_address(kind: str, server: str) -> Iterator[str]:
    """Provide the address of a database that does not exist, for a restore test.

    It is on the server with the address `server`, and the test removes it again. Raises
    `BadSetting` if `server` is empty.
    """
    if not server:
        raise BadSetting(
            f"a restore test of a {kind} backup needs a server",
            f"give one with --scratch, such as {kind}://user@host/",
        )
    address, _, query = server.partition("?")
    root = "/".join(address.split("/")[:3])
    yield f"{root}/covet_drill_{os.urandom(4).hex()}" + (f"?{query}" if query else "")
