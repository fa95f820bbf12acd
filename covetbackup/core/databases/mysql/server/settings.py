"""The connection settings of a database. A value; opens nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace

from covetbackup.core.errors import BadSetting

SSL_MODES = ("disable", "prefer", "require", "verify-ca", "verify-full")
SERVERS_OWN = ("information_schema", "performance_schema", "mysql", "sys")


@dataclass(frozen=True, slots=True)
class MysqlSettings:
    """The address of one database on one server, without its password.

    The server is at `host` (a name or an address) and `port`, or behind the socket file `socket`.
    `address`, if known, is the IP address to connect to without resolving `host` again. `database`
    "" means the server alone. Raises `BadSetting` for invalid values.
    """

    host: str
    user: str
    database: str
    port: int = 3306
    socket: str = ""
    sslmode: str = "prefer"
    sslrootcert: str = ""
    address: str = ""

    def __post_init__(self) -> None:
        if not self.user or "\0" in self.user + self.database:
            raise BadSetting("the MySQL address names no user, or holds a zero byte")
        if not self.host and not self.socket:
            raise BadSetting("the MySQL address names no host")
        if set(self.host) & set(", \t\r\n/@=\\'\"#"):
            raise BadSetting(f"{self.host!r} is not a host name")
        if self.socket and not self.socket.startswith("/"):
            raise BadSetting(f"{self.socket!r} is not the absolute path of a socket")
        if not 0 < self.port < 65536:
            raise BadSetting(f"{self.port} is not a port")
        if self.sslmode not in SSL_MODES:
            raise BadSetting(f"sslmode {self.sslmode!r} does not exist", ", ".join(SSL_MODES))
        if self.sslmode.startswith("verify") and not self.sslrootcert:
            raise BadSetting(f"sslmode {self.sslmode} needs sslrootcert, the authority's file")
        if self.database.lower() in SERVERS_OWN:
            raise BadSetting(
                f"{self.database!r} belongs to the server itself",
                "accounts and grants are in every backup as users.sql",
            )

    def __str__(self) -> str:
        return f"{self.database!r} on {self.where}" if self.database else self.where

    @property
    def where(self) -> str:
        """The server's address for messages: its socket file, or host and port."""
        return self.socket or f"{self.host}:{self.port}"

    def on(self, database: str) -> MysqlSettings:
        """Return the settings of another database on the same server, for the same user."""
        return replace(self, database=database)
