"""A user's app for one-time codes (TOTP, RFC 6238), and recovery codes for when it is lost."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass

from django.db import transaction
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from covetbackup.access.models import User

RECOVERY_CODES = 10


@dataclass(frozen=True, slots=True)
class FactorState:
    """The state of a user's second factor.

    `secret` (Base32) and `url` (otpauth:) are shown only until the app is confirmed.
    """

    is_on: bool
    secret: str = ""
    url: str = ""
    recovery_codes_left: int = 0


def is_on(user: User) -> bool:
    """Return whether the user has a confirmed app."""
    return TOTPDevice.objects.filter(user=user, confirmed=True).exists()


def state_of(user: User) -> FactorState:
    """Return the state of the user's second factor."""
    if is_on(user):
        left = StaticDevice.objects.filter(user=user, token_set__isnull=False).count()
        return FactorState(is_on=True, recovery_codes_left=left)
    device = TOTPDevice.objects.filter(user=user, confirmed=False).first()
    if device is None:
        return FactorState(is_on=False)
    secret = base64.b32encode(device.bin_key).decode().rstrip("=")
    return FactorState(is_on=False, secret=secret, url=device.config_url)


@transaction.atomic
def begin(user: User) -> None:
    """Create a secret that counts once a first code proves that the app has it."""
    if is_on(user):
        return
    TOTPDevice.objects.filter(user=user, confirmed=False).delete()
    TOTPDevice.objects.create(user=user, name="App", confirmed=False)


@transaction.atomic
def confirm(user: User, code: str) -> bool:
    """Return whether `code` is right; if so, codes are required from now on."""
    devices = TOTPDevice.objects.select_for_update().filter(user=user, confirmed=False)
    device = devices.first()
    if device is None or not device.verify_token(code.replace(" ", "")):
        return False
    device.confirmed = True
    device.save(update_fields=["confirmed"])
    return True


@transaction.atomic
def new_recovery_codes(user: User) -> list[str]:
    """Codes that work once each; those from before work no more."""
    device, _ = StaticDevice.objects.get_or_create(user=user, name="Recovery codes")
    device.token_set.all().delete()
    codes = [secrets.token_hex(5) for _ in range(RECOVERY_CODES)]
    for code in codes:
        device.token_set.create(token=code)
    return codes


@transaction.atomic
def end(user: User) -> None:
    """Remove the user's app and recovery codes."""
    TOTPDevice.objects.filter(user=user).delete()
    StaticDevice.objects.filter(user=user).delete()
