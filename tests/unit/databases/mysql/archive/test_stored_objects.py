"""Triggers, routines and views in what the dump program wrote of them."""

from __future__ import annotations

import pytest

from covetbackup.core.databases.mysql.archive.stored_objects import read_statements

_TRIGGER = (
    "/*!50003 SET sql_mode              = '' */ ;\nDELIMITER ;;\n"
    "/*!50003 CREATE*/ /*!50017 DEFINER=`root`@`%`*/ /*!50003 {head} SET @a = 1 */;;\n"
    "DELIMITER ;\n/*!50003 SET sql_mode              = @saved_sql_mode */ ;\n"
)


@pytest.mark.timeout(30)
def test_a_head_that_is_not_understood_does_not_hold_up_the_others() -> None:
    odd = "TRIGGER t/* c */ BEFORE INSERT ON`x`FOR EACH ROW"
    usual = "TRIGGER /* a */ `t{}` -- b\n BEFORE INSERT /* * c **/ ON # d\n `x` FOR EACH ROW"
    heads = [odd, *(usual.format(number) for number in range(500))]
    script = "".join(_TRIGGER.format(head=head) for head in heads).encode()
    found = read_statements(script)
    assert [trigger.name for trigger in found.triggers] == [f"t{number}" for number in range(500)]
    assert {trigger.table for trigger in found.triggers} == {"x"}
    assert found.unread == 1
