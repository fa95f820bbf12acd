"""Addresses of the pages of restores."""

from __future__ import annotations

from django.urls import path

from restores import in_place_views, retained_views, selection_views, views

urlpatterns = [
    path("restores/", views.restores, name="restores"),
    path("restores/new/<uuid:pk>/", views.restore_start, name="restore-start"),
    path("restores/new/<uuid:pk>/choose/", selection_views.restore_select, name="restore-select"),
    path("restores/new/<uuid:pk>/check/", views.restore_check, name="restore-check"),
    path(
        "restores/new/<uuid:pk>/add/",
        in_place_views.restore_into_existing,
        name="restore-into-existing",
    ),
    path(
        "restores/new/<uuid:pk>/add/check/",
        in_place_views.restore_into_existing_check,
        name="restore-into-existing-check",
    ),
    path("restores/new/<uuid:pk>/replace/", in_place_views.restore_replace, name="restore-replace"),
    path(
        "restores/new/<uuid:pk>/replace/check/",
        in_place_views.restore_replace_check,
        name="restore-replace-check",
    ),
    path("restores/<uuid:pk>/", views.restore, name="restore"),
    path("restores/<uuid:pk>/result/", views.restore_result, name="restore-result"),
    path("restores/<uuid:pk>/swap-back/", retained_views.revert_restore, name="restore-revert"),
    path(
        "restores/<uuid:pk>/drop/", retained_views.delete_retained, name="restore-delete-retained"
    ),
]
