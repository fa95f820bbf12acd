"""Every address of the dashboard; each app's own are in its `urls` module."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.models import Group
from django.urls import include, path
from django.views.generic import RedirectView
from django_q.models import Schedule

from covetbackup.access.sign_in import admin_sign_in
from covetbackup.health import healthz, readyz
from covetbackup.overview import overview, overview_live

handler400 = "covetbackup.error_pages.bad_request"
handler403 = "covetbackup.error_pages.denied"
handler404 = "covetbackup.error_pages.not_found"
handler500 = "covetbackup.error_pages.broken"

admin.site.site_header = "CovetBackup: catalog"
admin.site.unregister(Group)  # roles are ours: see covetbackup/access/roles.py
admin.site.unregister(Schedule)  # of django-q2, whose scheduler is off: it would never run

to_profile_password = RedirectView.as_view(pattern_name="profile-password")

urlpatterns = [
    path("", overview, name="overview"),
    path("overview/live/", overview_live, name="overview-live"),
    path("", include("covetbackup.access.urls")),
    path("", include("covetbackup.audit.urls")),
    path("", include("covetbackup.system_status.urls")),
    path("", include("covetbackup.jobs.urls")),
    path("", include("backups.urls")),
    path("", include("restores.urls")),
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    # The admin site's own pages know neither throttle nor second factor.
    path("admin/login/", admin_sign_in, name="admin-sign-in"),
    path("admin/password_change/", to_profile_password, name="admin-password"),
    path("admin/", admin.site.urls),
]
