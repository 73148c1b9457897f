"""Questions that people ask, with the queries that answer them: examples for whoever writes the next one.

`{today}` is the date in the company's time zone. Keep out: a table's or a view's own query to begin with, which is
declared with it.
"""

from __future__ import annotations

from typing import NamedTuple


class Question(NamedTuple):
    question: str
    query: str


QUESTIONS = (
    Question(
        "How many active clients are there?",
        "SELECT count(*) FROM gazelle.client_overview WHERE status = 'ACTIVE'",
    ),
    Question(
        "What does Louise Bélanger have to do in the next seven days?",
        "SELECT appointment_date, appointment_time, ends_at_time, client, address, piano_count FROM gazelle.agenda\n"
        "WHERE technician = 'Louise Bélanger' AND status = 'ACTIVE'\n"
        "  AND appointment_date BETWEEN {today} AND {today} + 6\n"
        "ORDER BY appointment_date, appointment_time",
    ),
    Question(
        "How many appointments and hours does each technician have in the next thirty days?",
        "SELECT technician, count(*) AS appointments, sum(duration_minutes) / 60.0 AS hours FROM gazelle.agenda\n"
        "WHERE type = 'APPOINTMENT' AND status = 'ACTIVE' AND appointment_date BETWEEN {today} AND {today} + 29\n"
        "GROUP BY technician ORDER BY technician",
    ),
    Question(
        "How many appointments of the last thirty days were cancelled, and how many missed?",
        "SELECT status, count(*) FROM gazelle.agenda\n"
        "WHERE status IN ('CANCELED', 'NO_SHOW') AND appointment_date BETWEEN {today} - 30 AND {today} - 1\n"
        "GROUP BY status ORDER BY status",
    ),
    Question(
        "On which days to come are more than five pianos seen at one appointment?",
        "SELECT appointment_date, client, piano_count FROM gazelle.agenda\n"
        "WHERE piano_count > 5 AND status = 'ACTIVE' AND appointment_date >= {today}\n"
        "ORDER BY appointment_date, appointment_external_id",
    ),
    Question(
        "Which pianos have been due longest, and whom do I call?",
        "SELECT piano_external_id, client, phone, days_overdue FROM gazelle.pianos_due\n"
        "ORDER BY days_overdue DESC, piano_external_id LIMIT 10",
    ),
    Question(
        "How many pianos are due without an appointment?",
        "SELECT count(*) FROM gazelle.pianos_due WHERE next_appointment_on IS NULL",
    ),
    Question(
        "Which active clients were not visited for two years, and have no appointment?",
        "SELECT client_external_id FROM gazelle.client_overview\n"
        "WHERE status = 'ACTIVE' AND next_visit_on IS NULL AND last_visit_on < {today} - 730\n"
        "ORDER BY client_external_id",
    ),
    Question(
        "Which clients have the most pianos?",
        "SELECT client, piano_count FROM gazelle.client_overview\n"
        "ORDER BY piano_count DESC, client_external_id LIMIT 3",
    ),
    Question(
        "How many clients live in each city? The five largest.",
        "SELECT city, count(*) FROM gazelle.client_overview WHERE city IS NOT NULL\n"
        "GROUP BY city ORDER BY count(*) DESC, city LIMIT 5",
    ),
    Question(
        "How many services did each technician enter this year?",
        "SELECT technician, count(*) FROM gazelle.service_history\n"
        "WHERE type LIKE 'SERVICE_ENTRY%' AND occurred_on >= date_trunc('year', {today})\n"
        "GROUP BY technician ORDER BY technician",
    ),
    Question(
        "In which notes of services and comments are strings mentioned?",
        "SELECT timeline_entry_external_id FROM gazelle.service_history\n"
        "WHERE summary ILIKE '%cordes%' OR comment ILIKE '%cordes%' ORDER BY timeline_entry_external_id",
    ),
    Question(
        "When was each piano serviced last? The ten latest.",
        "SELECT piano_external_id, max(occurred_on) AS last_on FROM gazelle.service_history\n"
        "WHERE type LIKE 'SERVICE_ENTRY%' AND piano_external_id IS NOT NULL\n"
        "GROUP BY piano_external_id ORDER BY max(occurred_at) DESC, piano_external_id LIMIT 10",
    ),
    Question(
        "How much are we owed?",
        "SELECT currency, sum(due_total) AS owed FROM gazelle.unpaid_invoices GROUP BY currency ORDER BY currency",
    ),
    Question(
        "Which five invoices are the largest of those overdue for more than thirty days?",
        "SELECT number, client, due_total, currency FROM gazelle.unpaid_invoices\n"
        "WHERE days_overdue > 30 ORDER BY due_total DESC, number LIMIT 5",
    ),
    Question(
        "What was invoiced and paid last year, month by month?",
        "SELECT month, currency, invoices, invoiced, paid FROM gazelle.revenue_by_month\n"
        "WHERE month >= date_trunc('year', {today}) - interval '1 year' AND month < date_trunc('year', {today})\n"
        "ORDER BY month, currency",
    ),
    Question(
        "Which makes of piano do we look after most?",
        "SELECT make, count(*) FROM gazelle.pianos\n"
        "WHERE deleted_at IS NULL AND synced_at IS NOT NULL AND make IS NOT NULL\n"
        "GROUP BY make ORDER BY count(*) DESC, make LIMIT 3",
    ),
    Question(
        "How many pianos have a humidity system, and how many have none?",
        "SELECT coalesce(dampp_chaser_installed, false) AS installed, count(*) FROM gazelle.pianos\n"
        "WHERE deleted_at IS NULL AND synced_at IS NOT NULL GROUP BY 1 ORDER BY 1",
    ),
    Question(
        "What are the five services that earned most?",
        "SELECT master_service_item_external_id, sum(invoice_items.total) / 100.0 AS earned\n"
        "FROM gazelle.invoice_items JOIN gazelle.invoices ON invoices.external_id = invoice_external_id\n"
        "WHERE invoices.status = 'PAID' AND invoice_items.billable AND master_service_item_external_id IS NOT NULL\n"
        "  AND invoice_items.deleted_at IS NULL AND invoices.deleted_at IS NULL\n"
        "GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 5",
    ),
    Question(
        "How many clients have come in each year?",
        "SELECT extract(year FROM client_since)::int AS year, count(*) FROM gazelle.client_overview\n"
        "GROUP BY 1 ORDER BY 1",
    ),
)
