"""Capitals of messages: a word of the language gets one, a name never does.

Messages begin in lower case, often with the name of what they are about: "legacy-7ba4/… is pinned",
"dump.pgc.0000 is missing". A name with a capital is another name.
"""

from __future__ import annotations

import re

_FIRST = re.compile(r"[a-z]+(?=[\s,:;]|$)")
_WORDS = frozenset(
    """
    a an the this that these those its their no not none nothing neither one two three some
    several every each all any more most many few only other another others what which who
    whoever when while where whether how why of in on at to for from by with without into until
    after before because as if is are was were does do did has have can cannot could may must
    will would it they there here too such

    add allow answered ask asked begin bring change checked choose close closed commit compare
    comparing compress compressing connect connecting copy copying create delete discover drop
    dropping dump dumped dumping empty end enter expected finalising find free give grant
    install invalid keep leave left let list load loading look looking lost make making mount
    move open paste print publishing put raise read reading refused register remove removed
    removing repeat resolve restore restored restoring rotating run sampling say seal sealed see
    select send sent set show sign start started starting stop stopped stopping storing swap
    swapping sweep take tell try turn type unfinished unknown unpin update upgrade use used
    verify verified verifying wait write writing

    account accounts archive backup backups bytes catalog certificate changes checks child
    cipher codec columns comments connection connections database databases definitions disk
    dump endpoint entry event events extension extensions file files folder foreign functions
    host hosts job jobs key keys label labels member members metadata objects owner password
    permission pg places program programs repository rights role roles root rows schema schemas
    scratch secrets sequence sequences server servers sessions somebody storage structure
    subscription table tables tablespace team time trigger triggers user users version views
    worker workers
    """.split()
)


def capitalised(text: str) -> str:
    """Return `text` with a capital, unless it begins with what may be the name of something."""
    first = _FIRST.match(text)
    if first is None or first[0] not in _WORDS:
        return text
    return text[:1].upper() + text[1:]
