"""Addresses of the pages of restores."""

from __future__ import annotations

from django.urls import path

from restores import existing_views, kept_views, picking_views, views

urlpatterns = [
    path("restores/", views.restores, name="restores"),
    path("restores/new/<uuid:pk>/", views.restore_start, name="restore-start"),
    path("restores/new/<uuid:pk>/choose/", picking_views.restore_choose, name="restore-choose"),
    path("restores/new/<uuid:pk>/check/", views.restore_check, name="restore-check"),
    path("restores/new/<uuid:pk>/add/", existing_views.restore_add, name="restore-add"),
    path(
        "restores/new/<uuid:pk>/add/check/",
        existing_views.restore_add_check,
        name="restore-add-check",
    ),
    path("restores/new/<uuid:pk>/replace/", existing_views.restore_replace, name="restore-replace"),
    path(
        "restores/new/<uuid:pk>/replace/check/",
        existing_views.restore_replace_check,
        name="restore-replace-check",
    ),
    path("restores/<uuid:pk>/", views.restore, name="restore"),
    path("restores/<uuid:pk>/result/", views.restore_result, name="restore-result"),
    path("restores/<uuid:pk>/swap-back/", kept_views.kept_swap_back, name="restore-swap-back"),
    path("restores/<uuid:pk>/drop/", kept_views.kept_drop, name="restore-drop-kept"),
]
