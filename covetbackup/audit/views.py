"""The pages of the audit log."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from covetbackup.access.decorators import requires
from covetbackup.access.roles import Permission
from covetbackup.audit.export import lines_of
from covetbackup.audit.listing import ORDER, AuditFilter, entries_seen_by
from covetbackup.audit.log import head, record, verify_chain
from covetbackup.ignored_filters import ignored
from covetbackup.paging import page_of


@require_safe
@requires(Permission.VIEW_AUDIT)
def audit(request: HttpRequest) -> HttpResponse:
    """Show the audit log."""
    form = AuditFilter(request.GET)
    seen = entries_seen_by(request.user, Permission.VIEW_AUDIT)
    entries = form.apply(seen) if form.is_valid() else seen.none()
    sequence, digest = head()
    context = {
        "form": form,
        "ignored": ignored(request.GET.dict(), form.fields, form.errors),
        "page": page_of(entries, ORDER, request.GET.get("cursor", "")),
        "sequence": sequence,
        "digest": digest,
        "query": request.GET.urlencode(),
    }
    return render(request, "audit/audit.html", context)


@require_POST
@requires(Permission.VIEW_AUDIT)
def audit_check(request: HttpRequest) -> HttpResponse:
    """Verify the hash chain."""
    broken = verify_chain()
    record(request, "audit.check", details={"broken": broken})
    if broken is None:
        messages.success(request, "The chain is whole: no entry was changed or removed.")
    else:
        messages.error(request, f"Entry {broken} was changed or removed.")
    return redirect("audit")


@require_safe
@requires(Permission.EXPORT_AUDIT)
def audit_export(request: HttpRequest) -> HttpResponseBase:
    """Export entries as CSV."""
    form = AuditFilter(request.GET)
    if not form.is_valid():
        return redirect("audit")
    entries = form.apply(entries_seen_by(request.user, Permission.EXPORT_AUDIT))
    record(request, "audit.export", details={"filter": request.GET.urlencode()[:300]})
    response = StreamingHttpResponse(lines_of(entries), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = 'attachment; filename="audit.csv"'
    return response
