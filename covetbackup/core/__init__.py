"""The engine: backs up, verifies and restores databases as streams. Plain Python, no Django.

Layers, each importing only from those below it:

    manager, __main__          the Python API and the command line
    operations                 use cases: back up, restore, verify, copy, delete, rotate
    repository | databases | planning
    storage | crypto
    stream
    progress, errors

Glossary (the words used in code, messages and pages):

    backup        one consistent copy of one database: one or more members and a manifest
    chunk         up to 1 MiB of plaintext, sealed on its own inside an encrypted object
    DEK           data encryption key: 32 random bytes, fresh for each backup
    frame         one self-contained compressed piece of up to 4 MiB of plain bytes
    inventory     what a database held in the backup's own snapshot: tables, rows, sequences, roles
    KEK           key encryption key: wraps DEKs; lives in a keyring, never in a repository
    keyring       the keys and signers a process holds
    label         the name of a backup in a repository: <source slug>/<UTC stamp>-<backup id>
    manifest      the signed description of a backup; written last, its presence is the backup
    member        one named stream of a backup: "dump.pgc", "globals.sql", "main.sqlite"
    object        one named, immutable run of bytes in a storage
    recipient     the public half of a key: enough to write backups, not to read them
    repository    a storage with our layout and a marker object, "covet.json"
    sink          where a stream ends: write, then commit or abort
    slot          one wrapped copy of a backup's DEK
    source        where a stream begins: a context manager around an iterator of bytes
    span          the start and stop position, branch and times that a backup covers
    volume        one object of a member; a long member is cut into several
"""
