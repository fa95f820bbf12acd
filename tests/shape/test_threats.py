"""What an attacker may try, and which tests try it. A test that is renamed or gone is missed here;
what the tests promise stands in their names."""

from __future__ import annotations

import pytest

from tests.shape.tree import ROOT

THREATS: dict[str, tuple[str, ...]] = {
    "requests to places they should not go to": (
        "tests/web/backups/test_hosts.py::test_a_host_that_is_not_to_be_contacted_is_refused",
        "tests/web/backups/test_hosts.py::test_the_address_that_was_checked_is_the_one_that_is",
        "tests/web/backups/test_hosts.py::test_a_name_is_refused_if_any_of_its_addresses_is",
        "tests/web/backups/test_hosts.py::test_an_endpoint_is_checked_like_a_host",
        "tests/web/backups/test_hosts.py::test_the_dashboard_does_not_contact_itself",
        "tests/web/backups/test_server_views.py::test_hosts_that_are_never_contacted",
        "tests/web/backups/test_server_views.py::test_buckets_that_are_refused",
        "tests/contract/test_storage_s3_faults.py::test_a_redirect_is_not_followed",
    ),
    "names that libpq reads as more than names": (
        "tests/unit/databases/postgresql/server/test_url.py::test_anything_else_is_refused",
        "tests/unit/databases/postgresql/server/test_url.py::test_a_database_name_for_a_tool_is_nothing_but_a_name",
        "tests/web/backups/test_hosts.py::test_a_target_address_means_exactly_the_name",
        "tests/web/backups/test_hosts.py::test_a_socket_directory_is_a_host_only_where_the_owner",
        "tests/servers/databases/postgresql/test_engine.py::test_a_nasty_name_survives",
    ),
    "names that programs take for options or commands": (
        "tests/unit/stream/test_process.py::test_arguments_arrive_unchanged",
        "tests/servers/databases/postgresql/test_engine.py::test_a_nasty_name_survives",
        "tests/web/restores/test_postgresql.py::test_a_nasty_name_is_only_a_name",
    ),
    "paths that lead out of their folder": (
        "tests/contract/test_storage_contract.py::test_a_hostile_name_is_refused_everywhere",
        "tests/contract/test_storage_local.py::test_a_planted_link_leads_nowhere",
        "tests/web/backups/test_hosts.py::test_a_file_name_cannot_leave_its_folder",
        "tests/web/backups/test_hosts.py::test_a_link_to_a_file_elsewhere_is_not_a_database",
        "tests/web/backups/test_hosts.py::test_a_local_repository_lies_below_an_allowed_folder",
        "tests/web/backups/test_server_views.py::test_a_folder_must_be_a_plain_absolute_path",
    ),
    "forms sent from other sites": (
        "tests/web/test_matrix.py::test_what_changes_things_wants_a_token_of_this_site",
        "tests/web/test_headers.py::test_a_form_from_another_site_changes_nothing",
        "tests/web/test_template_lint.py::test_every_form_that_changes_something_has_a_token",
    ),
    "markup that makes htmx ask for things": (
        "tests/browser/test_robustness.py::test_markup_in_a_name_makes_no_request",
        "tests/web/test_headers.py::test_every_answer_limits_what_a_browser_does",
        "tests/web/test_template_lint.py::test_no_template_has",
    ),
    "scripts in names and logs": (
        "tests/web/test_base_pages.py::test_names_from_elsewhere_are_inert_on_every_page",
        "tests/browser/test_pages.py::test_a_hostile_name_is_text_on_every_page_that_shows_it",
        "tests/web/test_no_secret_anywhere.py::test_what_a_terminal_would_obey_is_left_out",
        "tests/web/backups/test_commands.py::test_names_cannot_steer_a_terminal",
    ),
    "things of other teams, and rights one does not have": (
        "tests/web/test_matrix.py::test_each_persona_gets_the_answer_of_the_table",
        "tests/web/test_matrix.py::test_every_address_has_a_row",
        "tests/web/test_base_pages.py::test_a_list_shows_nothing_of_other_teams",
        "tests/web/jobs/test_chaos.py::test_who_lost_the_permission_gets_no_work_done",
        "tests/web/restores/test_sqlite.py::test_whoever_lost_the_right_meanwhile_gets_nothing",
    ),
    "downloads": (  # of logs and of the audit log; backups are not downloaded through pages
        "tests/web/test_matrix.py::test_each_persona_gets_the_answer_of_the_table",
        "tests/web/test_headers.py::test_every_answer_limits_what_a_browser_does",
    ),
    "a stored password sent to a server of one's own": (
        "tests/web/backups/test_server_views.py::test_a_stored_password_is_not_sent_to_another_place",
        "tests/web/backups/test_server_forms.py::test_the_certificate_of_an_authority_is_kept_and_used",
        "tests/web/backups/test_secrets.py::test_a_token_moved_to_another_row_is_refused",
    ),
    "secrets in pages, exports, logs and dumps": (
        "tests/web/test_no_secret_anywhere.py::test_no_page_shows_a_secret_to_anybody",
        "tests/web/test_no_secret_anywhere.py::test_a_form_that_comes_back_does_not_bring",
        "tests/web/test_no_secret_anywhere.py::test_the_admin_site_shows_no_secret",
        "tests/web/test_no_secret_anywhere.py::test_neither_dump_nor_export_nor_command_holds",
        "tests/web/system_status/test_views.py::test_no_password_is_in_what_is_shown_of_a_variable",
    ),
    "secrets in process lists, environments and files": (
        "tests/servers/databases/postgresql/backup/test_session_faults.py::test_no_child_shows_the_password",
        "tests/unit/stream/test_process.py::test_no_secret_is_in_any_command_line_or_environment",
        "tests/unit/stream/test_process.py::test_the_environment_is_built_from_nothing",
        "tests/unit/stream/test_secret.py::test_a_secret_file_is_in_memory_with_mode_0600",
        "tests/web/backups/test_secrets.py::test_the_files_made_are_for_their_owner_only",
    ),
    "sessions of others": (
        "tests/web/access/test_https.py::test_behind_https_cookies_never_travel_in_clear",
        "tests/web/access/test_sign_in.py::test_the_session_has_another_key_after_signing_in",
        "tests/web/access/test_sign_in.py::test_a_session_ends_idle_or_old",
        "tests/web/access/test_sign_in.py::test_a_dangerous_act_needs_the_password_of_a_short",
        "tests/web/access/test_profile.py::test_a_new_password_ends_all_other_sessions",
    ),
    "guessed passwords and names": (
        "tests/web/access/test_sign_in.py::test_of_fifty_tries_the_sixth_and_all_after",
        "tests/web/access/test_sign_in.py::test_an_unknown_user_costs_one_password_hash_too",
        "tests/web/access/test_sign_in.py::test_an_address_cannot_claim_to_be_another",
        "tests/web/test_headers.py::test_only_a_trusted_proxy_is_believed",
        "tests/web/access/test_profile.py::test_asking_for_a_link_does_not_tell_who_has",
    ),
}


@pytest.mark.parametrize("threat", THREATS)
def test_every_threat_is_tried(threat: str) -> None:
    gone = [name for name in THREATS[threat] if not _is_there(name)]
    assert THREATS[threat] and gone == []


def _is_there(name: str) -> bool:
    path, _, function = name.partition("::")
    file = ROOT / path
    return file.exists() and f"def {function}" in file.read_text()
