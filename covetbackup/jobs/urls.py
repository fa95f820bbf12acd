"""URLs of the pages of jobs."""

from __future__ import annotations

from django.urls import path

from covetbackup.jobs import views

urlpatterns = [
    path("jobs/", views.jobs, name="jobs"),
    path("jobs/<int:pk>/", views.job, name="job"),
    path("jobs/<int:pk>/live", views.job_live, name="job-live"),
    path("jobs/<int:pk>/log", views.job_log, name="job-log"),
    path("jobs/<int:pk>/cancel", views.job_cancel, name="job-cancel"),
]
