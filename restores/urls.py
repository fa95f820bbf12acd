"""Addresses of the pages of restores."""

from __future__ import annotations

from django.urls import path

from restores import views

urlpatterns = [
    path("restores/", views.restores, name="restores"),
    path("restores/new/<uuid:pk>/", views.restore_start, name="restore-start"),
    path("restores/new/<uuid:pk>/check/", views.restore_check, name="restore-check"),
    path("restores/<uuid:pk>/", views.restore, name="restore"),
    path("restores/<uuid:pk>/result/", views.restore_result, name="restore-result"),
]
