"""URLs of signing in, profile and team."""

from __future__ import annotations

from django.urls import path

from covetbackup.access import password_reset, profile, set_up, sign_in, team_pages

urlpatterns = [
    path("sign-in/", sign_in.sign_in, name="sign-in"),
    path("sign-in/code/", sign_in.sign_in_code, name="sign-in-code"),
    path("sign-in/again/", sign_in.sign_in_again, name="sign-in-again"),
    path("sign-out/", sign_in.sign_out, name="sign-out"),
    path("set-up/<str:token>/", set_up.set_up, name="set-up"),
    path("password/reset/", password_reset.Ask.as_view(), name="password-reset"),
    path("password/reset/sent/", password_reset.Sent.as_view(), name="password-reset-sent"),
    path("password/set/<uidb64>/<token>/", password_reset.Choose.as_view(), name="password-set"),
    path("profile/", profile.profile, name="profile"),
    path("profile/email/", profile.profile_email, name="profile-email"),
    path("profile/password/", profile.profile_password, name="profile-password"),
    path("profile/factor/", profile.profile_factor, name="profile-factor"),
    path("profile/factor/begin/", profile.profile_factor_begin, name="profile-factor-begin"),
    path("profile/factor/confirm/", profile.profile_factor_confirm, name="profile-factor-confirm"),
    path("profile/factor/codes/", profile.profile_factor_codes, name="profile-factor-codes"),
    path("profile/factor/end/", profile.profile_factor_end, name="profile-factor-end"),
    path("team/", team_pages.team, name="team"),
    path("team/<int:pk>/invite/", team_pages.team_invite, name="team-invite"),
    path("team/member/<int:pk>/role/", team_pages.team_role, name="team-role"),
    path("team/member/<int:pk>/remove/", team_pages.team_remove, name="team-remove"),
]
