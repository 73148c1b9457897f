"""Measures the views on an account of 4,000 clients and 275,000 timeline entries: `python -m benchmarks.views`.

The account is made in the database itself: how rows get there makes no difference to who reads them. Prints a table
of medians and bars. Keep out: what a load costs (`__main__`).
"""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

import psycopg2

from benchmarks.measure import ROOT
from gazelle_sync import warehouse
from gazelle_sync.environment import embedded

FOLDER = ROOT / "var" / "bench" / "views"
ROUNDS = 7

# Eight technicians, 4,000 clients with 1.5 pianos each, nine years of appointments, what people wrote of 60 characters
# and 200. Days are counted from today.
ACCOUNT = """
INSERT INTO gazelle.users (external_id, first_name, last_name, status, synced_at)
SELECT 'usr_' || n, 'Luc', 'Girard ' || n, 'ACTIVE', now() FROM generate_series(1, 8) n;
INSERT INTO gazelle.clients (external_id, company_name, first_name, last_name, phone, email, city, status, created_at,
                             preferred_technician_external_id, synced_at)
SELECT 'cli_' || n, 'Client ' || n, 'Anne', 'Roy ' || n, '418-555-' || n, 'c' || n || '@example.com', 'Québec',
       CASE WHEN n % 5 = 0 THEN 'INACTIVE' ELSE 'ACTIVE' END, now() - n % 3000 * interval '1 day', 'usr_' || 1 + n % 8,
       now()
FROM generate_series(1, 4000) n;
INSERT INTO gazelle.pianos (external_id, client_external_id, make, model, serial_number, location, status,
                            calculated_last_service, calculated_next_service, service_interval_months, synced_at)
SELECT 'ins_' || n, 'cli_' || 1 + n % 4000, 'Yamaha', 'U' || n % 9, n, 'Salon', 'ACTIVE', current_date - n % 700,
       current_date - n % 700 + 365, 12, now()
FROM generate_series(1, 6000) n;
INSERT INTO gazelle.appointments (external_id, client_external_id, technician_external_id, title, type, status,
                                  starts_at, appointment_date, appointment_time, duration_minutes, address, synced_at)
SELECT 'evt_' || n, 'cli_' || 1 + n * 7 % 4000, 'usr_' || 1 + n % 8, 'Accord ' || n, 'APPOINTMENT',
       CASE WHEN at < now() THEN 'COMPLETE' ELSE 'ACTIVE' END, at, (at AT TIME ZONE 'America/Toronto')::date,
       (at AT TIME ZONE 'America/Toronto')::time, 90, '12, rue des Érables', now()
FROM generate_series(1, 40000) n CROSS JOIN LATERAL (
    SELECT date_trunc('hour', now()) + (n - 36000) * interval '2 hours' AS at
) AS starts;
INSERT INTO gazelle.appointment_pianos (appointment_external_id, piano_external_id, is_tuning, synced_at)
SELECT 'evt_' || n, 'ins_' || 1 + n * 7 % 6000, true, now() FROM generate_series(1, 40000) n
UNION ALL SELECT 'evt_' || n, 'ins_' || 1 + (n * 7 + 3) % 6000, true, now() FROM generate_series(1, 40000, 3) n;
INSERT INTO gazelle.timeline_entries (external_id, client_external_id, piano_external_id, technician_external_id,
                                      occurred_at, type, summary, comment, synced_at)
SELECT 'tle_' || n, 'cli_' || 1 + n * 13 % 4000, 'ins_' || 1 + n * 13 % 6000, 'usr_' || 1 + n % 8,
       now() - n * interval '17 minutes',
       (ARRAY['SERVICE_ENTRY_MANUAL', 'APPOINTMENT', 'CONTACT_EMAIL_AUTOMATED', 'USER_COMMENT', 'SYSTEM_MESSAGE',
              'INVOICE_LOG', 'SCHEDULED_MESSAGE_EMAIL', 'PIANO_MEASUREMENT'])[1 + n % 8],
       'Accord 440 ' || md5(n::text), repeat(md5(n::text) || ' pédale ', 5), now()
FROM generate_series(1, 275000) n;
INSERT INTO gazelle.invoices (external_id, client_external_id, number, status, due_on, net_days, sub_total, tax_total,
                              tip_total, total, paid_total, due_total, currency, created_at, synced_at)
SELECT 'inv_' || n, 'cli_' || 1 + n * 3 % 4000, n, CASE WHEN n % 20 = 0 THEN 'OVERDUE' ELSE 'PAID' END,
       current_date - n % 3000, 30, 12000, 1797, 0, 13797, CASE WHEN n % 20 = 0 THEN 0 ELSE 13797 END,
       CASE WHEN n % 20 = 0 THEN 13797 ELSE 0 END, 'CAD', now() - n % 3000 * interval '1 day', now()
FROM generate_series(1, 6231) n;
INSERT INTO gazelle.invoice_payments (external_id, invoice_external_id, amount, tip_total, currency, status, paid_at,
                                      synced_at)
SELECT 'pay_' || n, 'inv_' || n, 13797, 0, 'CAD', 'SUCCEEDED', now() - n % 3000 * interval '1 day', now()
FROM generate_series(1, 6231) n WHERE n % 20 <> 0;
INSERT INTO gazelle.row_changes (run_id, table_name, external_id, change, changed, changed_at)
SELECT 'run', 'appointments', 'evt_' || 34000 + n % 5940, CASE WHEN n <= 5940 THEN 'insert' ELSE 'update' END,
       CASE WHEN n <= 5940 THEN '{}' WHEN n % 3 = 0 THEN jsonb_build_object('notes', jsonb_build_array(null, n::text))
            ELSE jsonb_build_object('starts_at', jsonb_build_array(now() + (n % 4000 - 2000) * interval '2 hours',
                                                                   now() + (n % 4100 - 2000) * interval '2 hours'))
       END, now() - (29700 - n) * interval '4 minutes'
FROM generate_series(1, 29700) n;
"""

# What is asked, the query, and how many milliseconds it may take.
QUESTIONS = (
    (
        "a technician's week",
        "SELECT * FROM gazelle.agenda WHERE technician_external_id = 'usr_3' "
        "AND appointment_date BETWEEN current_date AND current_date + 6",
        20,
    ),
    ("pianos due", "SELECT * FROM gazelle.pianos_due", 50),
    ("one client's overview", "SELECT * FROM gazelle.client_overview WHERE client_external_id = 'cli_1234'", 10),
    ("one client's overview, by name", "SELECT * FROM gazelle.client_overview WHERE client = 'Client 1234'", 10),
    ("all overviews", "SELECT * FROM gazelle.client_overview", 400),
    ("changes of the week to come", "SELECT * FROM gazelle.upcoming_appointment_changes", 50),
    ("a piano's history", "SELECT * FROM gazelle.service_history WHERE piano_external_id = 'ins_77'", None),
    ("unpaid invoices", "SELECT * FROM gazelle.unpaid_invoices", None),
    ("revenue by month", "SELECT * FROM gazelle.revenue_by_month", None),
)


def measure(url: str, query: str) -> tuple[float, float, int]:
    """Milliseconds, the server's own milliseconds on a processor, and rows. On a busy machine the second counts."""
    connection = psycopg2.connect(url)
    spent = Path("/proc", str(connection.info.backend_pid), "schedstat")
    try:
        with connection, connection.cursor() as cursor:
            taken, busy = [], []
            for _ in range(ROUNDS):
                began, before = time.perf_counter(), int(spent.read_text().split()[0])
                cursor.execute(query)
                rows = cursor.fetchall()
                taken.append(1000 * (time.perf_counter() - began))
                busy.append((int(spent.read_text().split()[0]) - before) / 1e6)
            return median(taken), median(busy), len(rows)
    finally:
        connection.close()


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    url = embedded.start_postgres(FOLDER)
    make_account(url)
    print("| question | rows | bar, ms | measured, ms | on a processor, ms |\n| --- | ---: | ---: | ---: | ---: |")
    for question, query, bar in QUESTIONS:
        taken, busy, rows = measure(url, query)
        print(f"| {question} | {rows:,} | {bar or ''} | {taken:.1f} | {busy:.1f} |")


def make_account(url: str) -> None:
    connection = psycopg2.connect(url)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("DROP SCHEMA IF EXISTS gazelle CASCADE")
            warehouse.migrate(warehouse.connect(url))
            cursor.execute(ACCOUNT)
            cursor.execute("VACUUM (ANALYZE)")
    finally:
        connection.close()


if __name__ == "__main__":
    main()
