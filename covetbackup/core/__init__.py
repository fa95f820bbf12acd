"""The engine: backs up, verifies and restores databases as streams. Plain Python, no Django.

Layers, each importing only from those below it:

    manager, __main__          the Python API and the command line
    operations                 use cases: back up, restore, verify, copy, delete, rotate
    repository | databases | planning
    storage | crypto
    stream
    progress, errors

Glossary (the words used in code, messages and pages):

    backup             one consistent copy of one database: one or more members and a manifest
    check              one finding before a restore or of a connection: passed, warning, failed
    chunk              up to 1 MiB of plaintext, encrypted on its own inside an encrypted object
    DEK                data encryption key: 32 random bytes, fresh for each backup
    dependency         what a selected table needs, and what is restored with it
    frame              up to 4 MiB of plain bytes, compressed on their own
    in-place restore   selected tables or rows into an existing database, all of them or none
    inventory          the contents of a database in the backup's snapshot: tables, rows, roles
    KEK                key encryption key: wraps DEKs; lives in a keyring, never in a repository
    keyring            the keys and signers a process holds
    label              the name of a backup in a repository: <source slug>/<UTC stamp>-<backup id>
    liveness probe     a connection that only tells whether the server can still be reached
    manifest           the signed description of a backup; written last, its presence is the backup
    member             one named stream of a backup: "dump.pgc", "globals.sql", "main.sqlite"
    member range       a run of plain bytes of a member, which a restore reads at once
    object             one named, immutable run of bytes in a storage
    owner              the role or account that a restored object belongs to
    part               one piece of a member that is read and loaded by a connection of its own
    recipient          the public half of a key: enough to write backups, not to read them
    replacement        a restore whose database takes the place of an existing one, then retained
    replica            one copy of a backup: the same objects in another repository
    repository         a storage with our layout and a marker object, "covet.json"
    retained database  the replaced database, under a dated name until it is deleted
    safety backup      the backup of a database that is taken before a restore changes it
    scratch database   a database of its own, or a file, that a restore fills before it is checked
    scratch target     where a restore writes until it is checked: a scratch database or transaction
    selection          the tables and schemas of a backup that are to be restored
    sink               where a stream ends: write, then commit or abort
    slot               one wrapped copy of a backup's DEK
    snapshot           the one committed state of a database that all members are read from
    source             where a stream begins: a context manager around an iterator of bytes
    span               the start and stop position, branch and times that a backup covers
    spool              a temporary file for a stream that is needed whole before it can be loaded
    swap               the step of a replacement in which two databases change names
    volume             one object of a member; a long member is cut into several
"""
