"""Changes to a team: inviting, changing a role, removing. A team always keeps an owner."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.tokens import default_token_generator
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode
from django_otp.plugins.otp_totp.models import TOTPDevice

from covetbackup.access.models import Membership, Team, User
from covetbackup.access.roles import Role
from covetbackup.core.errors import Conflict


def members_of(team: Team) -> QuerySet[Membership]:
    """Return the members with `has_factor`: whether they have confirmed an authenticator app."""
    factor = TOTPDevice.objects.filter(user=OuterRef("user"), confirmed=True)
    members = team.memberships.select_related("user", "team")
    return members.annotate(has_factor=Exists(factor)).order_by("user__username")


@transaction.atomic
def invite(team: Team, *, username: str, email: str, role: Role) -> tuple[Membership, str]:
    """Add a member; return the membership, and the link at which a new user sets a password.

    The link is "" for a user who has one. Raises `Conflict` if the user is a member already and has
    signed in.
    """
    user, is_new = User.objects.get_or_create(username=username, defaults={"email": email})
    if is_new:
        user.set_unusable_password()
        user.save(update_fields=["password"])
    membership, is_added = Membership.objects.get_or_create(
        user=user, team=team, defaults={"role": role}
    )
    # Not for a user invited by another team: the link would make the inviter that user.
    is_ours = not user.memberships.exclude(team=team).exists()
    if is_ours and not user.has_usable_password() and user.is_active:
        return membership, _link(user)
    if not is_added:
        raise Conflict(f"{username} is in this team already", "change the role in the list?")
    return membership, ""


@transaction.atomic
def change_role(membership: Membership, role: Role) -> None:
    """Change a role. Raises `Conflict` if the team would have no owner left."""
    if role != Role.OWNER:
        _keep_an_owner(membership, "demoted")
    Membership.objects.filter(pk=membership.pk).update(role=role)


@transaction.atomic
def remove(membership: Membership) -> None:
    """Remove a member. Raises `Conflict` if the team would have no owner left."""
    _keep_an_owner(membership, "removed")
    Membership.objects.filter(pk=membership.pk).delete()


def _keep_an_owner(membership: Membership, what: str) -> None:
    # The team's row is locked, so that two owners cannot demote each other at the same time.
    Team.objects.select_for_update().get(pk=membership.team.pk)
    owners = Membership.objects.filter(team=membership.team, role=Role.OWNER)
    others = owners.filter(user__is_active=True).exclude(pk=membership.pk)
    if owners.filter(pk=membership.pk).exists() and not others.exists():
        raise Conflict(
            f"{membership.user} is the last owner of {membership.team} and cannot be {what}",
            "make another member an owner first",
        )


def _link(user: User) -> str:
    who = urlsafe_base64_encode(force_bytes(user.pk))
    token = default_token_generator.make_token(user)
    return settings.SITE_URL.rstrip("/") + reverse("password-set", args=[who, token])
