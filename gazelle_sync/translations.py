"""Every text that a person reads, in English and in French, one beside the other.

To change a text, change it here. To add one, add a line with both languages; `{names}` are filled in by whoever says
it, and `{count:record|records}` is one word or the other (`Grammar`). French keeps a no-break space where its
typography wants one: before : ; ! ? and inside « ».
Keep out: when something is said.
"""

from __future__ import annotations

import string
from typing import Any

# Name → English, French.
TEXTS: dict[str, tuple[str, str]] = {
    "banner": (
        "Nothing is configured: the bundled sandbox and an embedded PostgreSQL serve (see .env.example).",
        "Rien n’est configuré : le bac à sable et un PostgreSQL embarqué servent (voir .env.example).",
    ),
    "table": (
        "table",
        "table",
    ),
    "fetched": (
        "fetched",
        "lus",
    ),
    "inserted": (
        "inserted",
        "ajoutés",
    ),
    "updated": (
        "updated",
        "modifiés",
    ),
    "unchanged": (
        "unchanged",
        "inchangés",
    ),
    "rejected": (
        "rejected",
        "rejetés",
    ),
    "status": (
        "status",
        "état",
    ),
    "success": (
        "done",
        "fait",
    ),
    "warning": (
        "warning",
        "à vérifier",
    ),
    "error": (
        "failed",
        "échec",
    ),
    "skipped": (
        "not run",
        "non lue",
    ),
    "never": (
        "never synced",
        "jamais synchronisée",
    ),
    "rows": (
        "rows",
        "lignes",
    ),
    "scope": (
        "scope",
        "étendue",
    ),
    "all": (
        "all",
        "tout",
    ),
    "scope_of_month": (
        "{first} {year}",
        "{first} {year}",
    ),
    "scope_of_months": (
        "{first} to {last} {year}",
        "{first} à {last} {year}",
    ),
    "scope_of_years": (
        "{first} {year} to {last} {last_year}",
        "{first} {year} à {last} {last_year}",
    ),
    "scope_of_days": (
        "{first} to {last}",
        "{first} au {last}",
    ),
    "last": (
        "last run",
        "dernière exécution",
    ),
    "gone": (
        "{table}: {deleted} deleted, {restored} restored",
        "{table} : {deleted} {deleted:supprimé|supprimés}, {restored} {restored:rétabli|rétablis}",
    ),
    "done": (
        "Done in {time}.",
        "Terminé en {time}.",
    ),
    "not_due": (
        "Every table was read since it was last 02:00: nothing to do.",
        "Chaque table a déjà été lue depuis 2 h du matin : il n’y a rien à faire.",
    ),
    "done_with_warnings": (
        "Done in {time}, with warnings.",
        "Terminé en {time}, avec des avertissements.",
    ),
    "failed": (
        "Failed after {time}. Tables that failed or were not run are as they were before.",
        "Échec après {time}. Les tables en échec ou non lues sont restées telles quelles.",
    ),
    "preparing": (
        "Preparing the run …",
        "Préparation de l’exécution…",
    ),
    "waiting_for_gazelle": (
        "Waiting for Gazelle, {seconds} s more: {why}",
        "Gazelle fait attendre encore {seconds} s : {why}",
    ),
    "rate": (
        "{rate}/s",
        "{rate}/s",
    ),
    "time_left": (
        "{time} left",
        "reste {time}",
    ),
    "read_so_far": (
        "{table}: {seen} of {expected} read",
        "{table} : {seen} {seen:lu|lus} sur {expected}",
    ),
    "nothing_to_add": (
        "Nothing to add: every table is as declared.",
        "Rien à ajouter : chaque table est conforme à sa déclaration.",
    ),
    "added": (
        "added: {what}",
        "ajouté : {what}",
    ),
    "open_this": (
        "Open this address, and authorize gazelle-sync:",
        "Ouvrez cette adresse et autorisez gazelle-sync :",
    ),
    "token_stored": (
        "The token is stored. `gazelle-sync check` says whether all else is in order.",
        "Le jeton est enregistré. `gazelle-sync check` dit si tout le reste est en ordre.",
    ),
    "sandbox_serves": (
        "The sandbox serves at {url} (API key: {key}). Ctrl-C ends it.",
        "Le bac à sable répond à {url} (clé d’API : {key}). Ctrl-C l’arrête.",
    ),
    "check_configuration": (
        "configuration",
        "configuration",
    ),
    "check_files": (
        "files",
        "fichiers",
    ),
    "check_api": (
        "Gazelle",
        "Gazelle",
    ),
    "check_database": (
        "database",
        "base de données",
    ),
    "check_privileges": (
        "privileges",
        "droits",
    ),
    "check_tables": (
        "tables",
        "tables",
    ),
    "check_clock": (
        "clock",
        "horloge",
    ),
    "check_connection": (
        "connection",
        "connexion",
    ),
    "check_row_security": (
        "row level security",
        "sécurité des lignes",
    ),
    "check_readers": (
        "readers",
        "lecteurs",
    ),
    "check_rest": (
        "REST API",
        "API REST",
    ),
    "check_records": (
        "Dagster's records",
        "registres de Dagster",
    ),
    "in_step": (
        "in step with the database's",
        "à l’heure de la base de données",
    ),
    "direct": (
        "direct",
        "directe",
    ),
    "session_pooler": (
        "through a session pooler",
        "par un pooler en mode session",
    ),
    "transaction_pooler": (
        "through a transaction pooler: right for the sync, not for DAGSTER_POSTGRES_URL",
        "par un pooler en mode transaction : bon pour la synchronisation, pas pour DAGSTER_POSTGRES_URL",
    ),
    "protected": (
        "on, for {count:the one table|all {count} tables}",
        "active, pour {count:la seule table|les {count} tables}",
    ),
    "no_tables_yet": (
        "there are no tables yet; the next sync makes them with it on",
        "il n’y a pas encore de tables ; la prochaine synchronisation les crée protégées",
    ),
    "nobody_else": (
        "nobody whom no policy names",
        "seulement ceux que nomme une politique",
    ),
    "exposed": (
        "serves the schema gazelle",
        "sert le schéma gazelle",
    ),
    "exposure_not_seen": (
        "can't be seen from here; Supabase's API settings list the exposed schemas",
        "ne se voit pas d’ici ; les réglages API de Supabase nomment les schémas exposés",
    ),
    "to_be_added": (
        "the next sync adds {count}: {what}",
        "la prochaine synchronisation en ajoute {count} : {what}",
    ),
    "left_out_of_it": (
        "left out by the last sync, or taken away since: {what}; gazelle-sync migrate makes it, or says why it can't be made ({count})",
        "laissé de côté par la dernière synchronisation, ou retiré depuis : {what} ; gazelle-sync migrate le crée, ou dit ce qui l’empêche ({count})",
    ),
    "as_declared": (
        "as declared",
        "conformes à leur déclaration",
    ),
    "not_checked": (
        "not checked, because of the above",
        "non vérifié, à cause de ce qui précède",
    ),
    "code": (
        "en",
        "fr",
    ),
    "as_of": (
        "as of {at}",
        "au {at}",
    ),
    "tables": (
        "Tables",
        "Tables",
    ),
    "fresh": (
        "up to date",
        "à jour",
    ),
    "yes": (
        "yes",
        "oui",
    ),
    "no": (
        "no",
        "non",
    ),
    "reason": (
        "reason",
        "raison",
    ),
    "record": (
        "record",
        "enregistrement",
    ),
    "since": (
        "since",
        "depuis",
    ),
    "recent_runs": (
        "{count:The last run|The last {count} runs}",
        "{count:La dernière exécution|Les {count} dernières exécutions}",
    ),
    "open_rejects": (
        "Records that could not be stored as they came: {count}",
        "Enregistrements qui n’ont pas pu être enregistrés tels quels : {count}",
    ),
    "run_told": (
        "{at}: {status}, {seconds:.1f} s, {fetched} fetched, {changed} changed",
        "{at} : {status}, {seconds:.1f} s, {fetched} {fetched:lu|lus}, {changed} {changed:modifié|modifiés}",
    ),
    "page_written": (
        "written: {file}",
        "écrit : {file}",
    ),
    "not_sent": (
        "An alert could not be sent; it is kept for the next run: {why}",
        "Une alerte n’a pas pu être envoyée ; elle est gardée pour la prochaine fois : {why}",
    ),
    # -- what is typed: help, and what is refused -----------------------------------------------------------------------
    "no_such_day": (
        "{value} is no day of the calendar. Write one like 2026-03-31.",
        "{value} n’est pas un jour du calendrier. Écrivez-en un comme 2026-03-31.",
    ),
    "no_such_folder": (
        "The folder {folder} is not there. Make it, or name a file in another one.",
        "Le dossier {folder} n’existe pas. Créez-le, ou nommez un fichier dans un autre dossier.",
    ),
    "no_such_table": (
        "There is no table {names}. There are {tables}.",
        "Il n’y a pas de table {names}. Il y a {tables}.",
    ),
    "tables_without_date": (
        "--from and --to are for tables that have a date ({dated}), and {names} {count:has|have} none: leave out the days, or {count:this table|these tables}.",
        "--from et --to sont pour les tables qui ont une date ({dated}) ; {names} n’en {count:a|ont} pas : retirez les jours, ou {count:cette table|ces tables}.",
    ),
    "full_and_days": (
        "--full reads all history: leave out --from and --to.",
        "--full lit tout l’historique : retirez --from et --to.",
    ),
    "half_a_range": (
        "--from and --to go together: give both.",
        "--from et --to vont ensemble : indiquez les deux.",
    ),
    "range_backwards": (
        "--from is later than --to.",
        "--from est postérieur à --to.",
    ),
    "if_due_alone": (
        "--if-due is for the nightly run: leave out --full, --table, --from and --to.",
        "--if-due est pour l’exécution de nuit : retirez --full, --table, --from et --to.",
    ),
    "next_browser": (
        "  {command}   shows it in the browser: Dagster’s UI and the status page",
        "  {command}   montre le tout dans le navigateur : l’interface de Dagster et la page d’état",
    ),
    "next_data": (
        "  {command}  opens the data: type SQL, and \\q to leave",
        "  {command}  ouvre les données : tapez du SQL, et \\q pour sortir",
    ),
    "time": (
        "time",
        "durée",
    ),
    "no_such_port": (
        "{value} is no port. Write a number from 1 to 65535.",
        "{value} n’est pas un port. Écrivez un nombre de 1 à 65535.",
    ),
    "is_a_folder": (
        "{value} is a folder. Name a file.",
        "{value} est un dossier. Nommez un fichier.",
    ),
    # click's own sentences, in English word for word as click has them.
    "click_error": (
        "Error: {message}",
        "Erreur : {message}",
    ),
    "click_try": (
        "Try '{command} {option}' for help.",
        "Pour de l’aide, tapez « {command} {option} ».",
    ),
    "click_no_such_option": (
        "No such option {name!r}.",
        "Il n’y a pas d’option {name}.",
    ),
    "click_no_such_command": (
        "No such command {name!r}.",
        "Il n’y a pas de commande {name}.",
    ),
    "click_did_you_mean": (
        "Did you mean {possibility}?",
        "Vouliez-vous dire {possibility} ?",
    ),
    "click_did_you_mean_one_of": (
        "(Did you mean one of: {possibilities}?)",
        "(Vouliez-vous dire l’une de celles-ci : {possibilities} ?)",
    ),
    "click_invalid_value": (
        "Invalid value for {param_hint}: {message}",
        "Valeur incorrecte pour {param_hint} : {message}",
    ),
    "click_missing_argument": (
        "Missing argument",
        "Il manque l’argument",
    ),
    "click_missing_option": (
        "Missing option",
        "Il manque l’option",
    ),
    "click_missing_command": (
        "Missing command.",
        "Il manque une commande.",
    ),
    "click_extra_argument": (
        "Got unexpected extra argument ({args})",
        "Argument en trop ({args})",
    ),
    "click_extra_arguments": (
        "Got unexpected extra arguments ({args})",
        "Arguments en trop ({args})",
    ),
    "click_option_without_value": (
        "Option {name!r} requires an argument.",
        "L’option {name} veut une valeur.",
    ),
    "click_option_with_value": (
        "Option {name!r} does not take a value.",
        "L’option {name} ne prend pas de valeur.",
    ),
    "click_aborted": (
        "Aborted!",
        "Interrompu.",
    ),
    "help_heading": (
        "{name}:",
        "{name} :",
    ),
    "help_usage": (
        "Usage: ",
        "Usage : ",
    ),
    "help_options": (
        "Options",
        "Options",
    ),
    "help_commands": (
        "Commands",
        "Commandes",
    ),
    "help_this": (
        "Show this, and do nothing.",
        "Affiche ceci, et rien d’autre.",
    ),
    "help_place_options": (
        "[OPTIONS]",
        "[OPTIONS]",
    ),
    "help_place_command": (
        "COMMAND …",
        "COMMANDE …",
    ),
    "help_place_arguments": (
        "[ARGUMENTS]",
        "[ARGUMENTS]",
    ),
    "help_place_name": (
        "NAME",
        "NOM",
    ),
    "help_place_date": (
        "DATE",
        "DATE",
    ),
    "help_place_file": (
        "FILE",
        "FICHIER",
    ),
    "help_place_port": (
        "PORT",
        "PORT",
    ),
    "help_place_address": (
        "ADDRESS",
        "ADRESSE",
    ),
    "help_all": (
        "Mirrors a Gazelle account into PostgreSQL.",
        "Copie un compte Gazelle dans PostgreSQL et tient la copie à jour.",
    ),
    "help_main_version": (
        "Show the version, and do nothing.",
        "Affiche la version, et rien d’autre.",
    ),
    "help_sync": (
        "Mirrors every table, as the daily schedule does.",
        "Copie chaque table, comme le fait la planification de chaque nuit.",
    ),
    "help_sync_full": (
        "All history.",
        "Tout l’historique.",
    ),
    "help_sync_tables": (
        "Only this table; may be given again.",
        "Seulement cette table ; peut être répété.",
    ),
    "help_sync_first": (
        "Of the tables that have a date, only the months from this business day (2026-03-31) …",
        "Pour les tables qui ont une date, seulement les mois à partir de ce jour (2026-03-31)…",
    ),
    "help_sync_last": (
        "… to this one.",
        "… jusqu’à celui-ci.",
    ),
    "help_sync_allow_mass_delete": (
        "Let more records be marked as deleted, or more values turn empty, than can be believed; once.",
        "Accepte, cette fois, plus de suppressions ou de valeurs vidées qu’il n’est vraisemblable.",
    ),
    "help_sync_if_due": (
        "Only if some table was not read since it was last 02:00.",
        "Seulement si une table n’a pas encore été lue depuis 2 h du matin.",
    ),
    "help_status": (
        "Shows the last run of each table, its rows, the last runs, and what could not be stored.",
        "Montre la dernière exécution et les lignes de chaque table, les dernières exécutions, et ce qui n’a pas pu être enregistré.",
    ),
    "help_status_file": (
        "Write it as a page that needs nothing else.",
        "L’écrit comme une page qui se suffit à elle-même.",
    ),
    "help_migrate_search": (
        "Also indexes for searching in texts; says what they cost.",
        "Ajoute aussi des index pour chercher dans les textes, et dit ce qu’ils coûtent.",
    ),
    "help_migrate_accept_readers": (
        "Add personal columns also to tables that the public may read.",
        "Ajoute des colonnes personnelles même aux tables que le public peut lire.",
    ),
    "help_describe": (
        "Prints what tables, views and columns mean, with examples: for an assistant. Asks nobody.",
        "Affiche ce que veulent dire tables, vues et colonnes, avec des exemples, pour un assistant. Ne demande rien à "
        "personne.",
    ),
    "help_describe_as_json": (
        "As JSON, and not as Markdown.",
        "En JSON plutôt qu’en Markdown.",
    ),
    "help_check": (
        "Says whether configuration, Gazelle, database and rights are in order. Changes nothing.",
        "Dit si la configuration, Gazelle, la base de données et les droits sont en ordre. Ne change rien.",
    ),
    "help_check_quick": (
        "Leave out the trial of every query, which takes up to a minute.",
        "Laisse de côté l’essai de chaque requête, qui prend jusqu’à une minute.",
    ),
    "help_check_file": (
        "Write to this file what a maintainer needs, without personal data and secrets.",
        "Écrit dans ce fichier ce qu’il faut à qui s’occupe du projet, sans données personnelles ni secrets.",
    ),
    "report_and_quick": (
        "--report is made of what --quick leaves out: leave out one of them.",
        "--report est fait de ce que --quick laisse de côté : retirez l’un des deux.",
    ),
    "help_psql": (
        "Opens the data in psql. What is written after it goes to psql: gazelle-sync psql -c 'SELECT 1'.",
        "Ouvre les données dans psql. Ce qui suit va à psql : gazelle-sync psql -c 'SELECT 1'.",
    ),
    "help_login": (
        "Authorizes this program to read a Gazelle account (OAuth).",
        "Autorise ce programme à lire un compte Gazelle (OAuth).",
    ),
    "help_login_port": (
        "Where the callback listens; the app's callback address has to say the same.",
        "Où le rappel écoute ; l’adresse de rappel de l’application doit dire la même chose.",
    ),
    "help_migrate": (
        "Adds to the database what it lacks. A sync does so too; nothing is ever dropped or renamed.",
        "Ajoute à la base de données ce qui lui manque. Une synchronisation le fait aussi ; rien n’est jamais supprimé ni renommé.",
    ),
    "help_sandbox": (
        "Runs the stand-in for Gazelle, until it is interrupted.",
        "Lance le bac à sable, qui remplace Gazelle, jusqu’à ce qu’on l’interrompe.",
    ),
    "help_sandbox_port": (
        "Where it listens; any free one unless given.",
        "Où il écoute ; sans cette option, sur un port libre.",
    ),
    "help_dev": (
        "Serves the Dagster UI and the status page, on this machine only; schedules and sensors run meanwhile.",
        "Ouvre l’interface de Dagster et la page d’état, sur cette machine seulement ; pendant ce temps, planifications et capteurs fonctionnent.",
    ),
    "help_dev_port": (
        "Where the UI listens; 3000 unless given.",
        "Où l’interface écoute ; 3000 sans cette option.",
    ),
    "help_dev_host": (
        "The address it listens on; 127.0.0.1 unless given.",
        "L’adresse sur laquelle elle écoute ; 127.0.0.1 sans cette option.",
    ),
    "help_ui": (
        "Serves the Dagster UI and the status page. `gazelle-sync dev` runs it, and so do containers.",
        "Sert l’interface de Dagster et la page d’état. `gazelle-sync dev` la lance, les conteneurs aussi.",
    ),
    "help_ui_port": (
        "Where it listens; 3000 unless given.",
        "Où elle écoute ; 3000 sans cette option.",
    ),
    "help_ui_host": (
        "The address it listens on; 127.0.0.1 unless given.",
        "L’adresse sur laquelle elle écoute ; 127.0.0.1 sans cette option.",
    ),
    "help_ui_workspace": (
        "What Dagster loads; the project’s workspace.yaml unless given.",
        "Ce que Dagster charge ; le workspace.yaml du projet sans cette option.",
    ),
    "help_dev_verbose": (
        "Show all that Dagster says, not only what went wrong.",
        "Montre tout ce que dit Dagster, et pas seulement ce qui a mal tourné.",
    ),
    # -- settings -----------------------------------------------------------------------------------------------------
    "base_url_is_no_address": (
        "GAZELLE_BASE_URL is not an address. Write one like https://gazelleapp.io, or leave it unset.",
        "GAZELLE_BASE_URL n’est pas une adresse. Écrivez-en une comme https://gazelleapp.io, ou ne la définissez pas.",
    ),
    "base_url_in_the_clear": (
        "GAZELLE_BASE_URL begins with http:// for {host}, which is not this machine: the key and all data would travel in the clear. Write https://.",
        "GAZELLE_BASE_URL commence par http:// pour {host}, qui n’est pas cette machine : la clé et toutes les données circuleraient en clair. Écrivez https://.",
    ),
    "patience_is_no_duration": (
        "GAZELLE_PATIENCE={value} is not a duration. Write one like 90s, 15m or 1h.",
        "GAZELLE_PATIENCE={value} n’est pas une durée. Écrivez-en une comme 90s, 15m ou 1h.",
    ),
    "zone_unknown": (
        "GAZELLE_TIMEZONE={value} is no time zone. Write one like America/Toronto.",
        "GAZELLE_TIMEZONE={value} n’est pas un fuseau horaire. Écrivez-en un comme America/Toronto.",
    ),
    "history_start_is_no_date": (
        "GAZELLE_HISTORY_START={value} is no day. Write it as 2017-01-01.",
        "GAZELLE_HISTORY_START={value} n’est pas un jour. Écrivez-le sous la forme 2017-01-01.",
    ),
    "history_start_too_early": (
        "GAZELLE_HISTORY_START={value} is before 1900. Write a day such as 2017-01-01.",
        "GAZELLE_HISTORY_START={value} est antérieur à 1900. Écrivez un jour comme 2017-01-01.",
    ),
    "history_start_too_late": (
        "GAZELLE_HISTORY_START={value} is still to come, and history begins with the past. Write a day such as 2017-01-01.",
        "GAZELLE_HISTORY_START={value} est encore à venir, alors que l’historique commence dans le passé. Écrivez un jour comme 2017-01-01.",
    ),
    "rate_is_no_number": (
        "GAZELLE_REQUESTS_PER_SECOND={value} is no number above zero.",
        "GAZELLE_REQUESTS_PER_SECOND={value} n’est pas un nombre supérieur à zéro.",
    ),
    "concurrent_is_no_count": (
        "GAZELLE_CONCURRENT_REQUESTS={value} is no whole number from 1 to 16.",
        "GAZELLE_CONCURRENT_REQUESTS={value} n’est pas un nombre entier de 1 à 16.",
    ),
    "table_off_unknown": (
        "GAZELLE_TABLES_OFF names {names}, and there is no such table. There are {tables}.",
        "GAZELLE_TABLES_OFF nomme {names}, et aucune table ne s’appelle ainsi. Il y a {tables}.",
    ),
    "table_is_off": (
        "GAZELLE_TABLES_OFF names {names}: take it out there, or leave out --table {names}.",
        "GAZELLE_TABLES_OFF nomme {names} : retirez-la de cette variable, ou n’indiquez pas --table {names}.",
    ),
    "tables_off": (
        "Off, by GAZELLE_TABLES_OFF: {names}. They are not read, and keep what they hold.",
        "Désactivées par GAZELLE_TABLES_OFF : {names}. Elles ne sont pas lues et gardent ce qu’elles contiennent.",
    ),
    "language_unknown": (
        "GAZELLE_SYNC_LANG={value} is not a language of this command: en or fr.",
        "GAZELLE_SYNC_LANG={value} n’est pas une langue de cette commande : en ou fr.",
    ),
    "app_half_set": (
        "{missing} is not set: an OAuth app has both an id and a secret.",
        "{missing} n’est pas définie : une application OAuth a un identifiant et un secret.",
    ),
    "database_not_set": (
        "SUPABASE_DB_URL is not set, though Gazelle is configured. Set it to the database's connection string, or unset every GAZELLE_ variable to use the bundled sandbox and database.",
        "SUPABASE_DB_URL n’est pas définie, alors que Gazelle est configuré. Donnez-lui la chaîne de connexion de la base de données, ou retirez toutes les variables GAZELLE_ pour utiliser le bac à sable et la base fournis.",
    ),
    "database_of_old_service": (
        "SUPABASE_DB_URL is not set. What is set, {variables}, is for REST and not used: copy the session pooler's string from the dashboard (Connect). For this project it is postgresql://postgres.{project}:<password>@<region>.pooler.supabase.com:5432/postgres. docs/setup.md has what else comes along from the old service.",
        "SUPABASE_DB_URL n’est pas définie. Ce qui est défini, {variables}, sert à REST et n’est pas utilisé : copiez la chaîne du pooler de session depuis le tableau de bord (Connect). Pour ce projet, c’est postgresql://postgres.{project}:<password>@<region>.pooler.supabase.com:5432/postgres. docs/setup.fr.md dit ce qui suit de l’ancien service.",
    ),
    "credentials_not_set": (
        "Gazelle's credentials are not set, though a database is. Set GAZELLE_API_KEY, or GAZELLE_CLIENT_ID and GAZELLE_CLIENT_SECRET, or unset SUPABASE_DB_URL and GAZELLE_BASE_URL to use the bundled services.",
        "Les identifiants de Gazelle ne sont pas définis, alors qu’une base de données l’est. Définissez GAZELLE_API_KEY, ou GAZELLE_CLIENT_ID et GAZELLE_CLIENT_SECRET, ou retirez SUPABASE_DB_URL et GAZELLE_BASE_URL pour utiliser les services fournis.",
    ),
    "oauth_app_not_set": (
        "GAZELLE_CLIENT_ID and GAZELLE_CLIENT_SECRET are not set: they name the OAuth app.",
        "GAZELLE_CLIENT_ID et GAZELLE_CLIENT_SECRET ne sont pas définies : elles désignent l’application OAuth.",
    ),
    "token_does_not_last": (
        "The OAuth token has no refresh token: when it expires, syncs fail until somebody logs in again. Run "
        "`gazelle-sync login`, and if that changes nothing, use GAZELLE_API_KEY.",
        "Le jeton OAuth n’a pas de jeton de renouvellement : quand il expirera, les synchronisations échoueront "
        "jusqu’à ce que quelqu’un se reconnecte. Lancez `gazelle-sync login` ; si cela ne change rien, utilisez "
        "GAZELLE_API_KEY.",
    ),
    "records_through_pooler": (
        "DAGSTER_POSTGRES_URL goes through a {mode} pooler, which refuses what Dagster needs. Give it a direct "
        "connection, or leave it unset: SQLite under var/ is the default.",
        "DAGSTER_POSTGRES_URL passe par un pooler en mode {mode}, qui refuse ce dont Dagster a besoin. Donnez-lui une "
        "connexion directe, ou ne la définissez pas : SQLite sous var/ est le choix par défaut.",
    ),
    "base_url_with_credentials": (
        "GAZELLE_BASE_URL has an @ in it, and so a user or a password, which do not belong there. Write it as https://gazelleapp.io; the key goes into GAZELLE_API_KEY.",
        "GAZELLE_BASE_URL contient un @, donc un nom d’utilisateur ou un mot de passe, qui n’y ont pas leur place. Écrivez-la sous la forme https://gazelleapp.io ; la clé va dans GAZELLE_API_KEY.",
    ),
    # -- reading from Gazelle: transport, client, OAuth ---------------------------------------------------------------
    "credentials_refused": (
        "Gazelle refused the credentials for {what} (HTTP 401). Check GAZELLE_API_KEY, or run `gazelle-sync login`.",
        "Gazelle a refusé les identifiants pour {what} (HTTP 401). Vérifiez GAZELLE_API_KEY, ou lancez `gazelle-sync login`.",
    ),
    "request_is_unsendable": (
        "A request for {what} can't be sent ({why}). Check GAZELLE_BASE_URL, and that no blank, line end or foreign character slipped into GAZELLE_API_KEY or the token.",
        "Une requête pour {what} ne peut pas être envoyée ({why}). Vérifiez GAZELLE_BASE_URL, et qu’aucun espace, saut de ligne ou caractère étranger ne s’est glissé dans GAZELLE_API_KEY ou le jeton.",
    ),
    "http_refused": (
        "Gazelle answered HTTP {status} to {what}: {text}. Check GAZELLE_BASE_URL, and that the account may use the API.",
        "Gazelle a répondu HTTP {status} à {what} : {text}. Vérifiez GAZELLE_BASE_URL, et que le compte a le droit d’utiliser l’API.",
    ),
    "unavailable": (
        "Gazelle could not answer {what} in {attempts} {attempts:attempt|attempts; the last one}: {why}. Nothing was changed for this table. Run the sync again when Gazelle is well.",
        "Gazelle n’a pas pu répondre à {what} en {attempts} {attempts:tentative|tentatives ; la dernière} : {why}. Rien n’a été modifié dans cette table. Relancez la synchronisation quand Gazelle ira mieux.",
    ),
    "budget_spent": (
        "Gazelle could not answer {what} in {attempts} {attempts:attempt|attempts; the last one}: {why}. The next one may follow in {wait}, but a run may wait for {budget} in all (GAZELLE_PATIENCE), of which {left} are left. Nothing was changed for this table. Run the sync again later, or raise GAZELLE_PATIENCE.",
        "Gazelle n’a pas pu répondre à {what} en {attempts} {attempts:tentative|tentatives ; la dernière} : {why}. La suivante est permise dans {wait}, mais une exécution ne peut attendre que {budget} en tout (GAZELLE_PATIENCE), dont il reste {left}. Rien n’a été modifié dans cette table. Relancez la synchronisation plus tard, ou augmentez GAZELLE_PATIENCE.",
    ),
    "request_tried_again": (
        "{what}: {why}; attempt {attempt} follows in {wait:.1f} s",
        "{what} : {why} ; tentative {attempt} dans {wait:.1f} s",
    ),
    "request_unanswered": (
        "no answer ({why})",
        "pas de réponse ({why})",
    ),
    "no_answer_in_time": (
        "no answer in time ({why})",
        "pas de réponse à temps ({why})",
    ),
    "no_answer_of_proxy": (
        "no answer through the proxy that {variable} names",
        "pas de réponse par le proxy que désigne {variable}",
    ),
    "malformed_answer": (
        "a malformed answer ({why})",
        "une réponse mal formée ({why})",
    ),
    "rate_limited": (
        "HTTP {status}, too many requests",
        "HTTP {status}, trop de requêtes",
    ),
    "not_json": (
        "HTTP 200 with a body that is not JSON: {text}",
        "HTTP 200 avec un corps qui n’est pas du JSON : {text}",
    ),
    "answer_is_too_large": (
        "Gazelle's answer to {what} is larger than {most} MB, unpacked: it was not read to its end. If it stays so, something else than Gazelle answers at GAZELLE_BASE_URL, or a page is too large.",
        "La réponse de Gazelle à {what} dépasse {most} Mo une fois décompressée : elle n’a pas été lue jusqu’au bout. Si cela persiste, autre chose que Gazelle répond à GAZELLE_BASE_URL, ou une page est trop grande.",
    ),
    "a_body_with_a_token": (
        "a body that may hold a token",
        "un corps qui contient peut-être un jeton",
    ),
    "answer_is_no_object": (
        "an answer that is no object but {kind}",
        "une réponse qui n’est pas un objet mais {kind}",
    ),
    "answer_without_data": (
        "an answer without data",
        "une réponse sans données",
    ),
    "errors_of_no_shape": (
        "Gazelle answered {what} with `errors` of no known shape.",
        "Gazelle a répondu à {what} par des `errors` d’une forme inconnue.",
    ),
    "graphql_errors": (
        "GraphQL errors: {messages}",
        "erreurs GraphQL : {messages}",
    ),
    "query_refused": (
        "Gazelle refused {what}: {messages}. The API may have changed: compare the declaration in gazelle_sync/tables with Gazelle's schema.",
        "Gazelle a refusé {what} : {messages}. L’API a peut-être changé : comparez la déclaration dans gazelle_sync/tables avec le schéma de Gazelle.",
    ),
    "too_much": (
        "Gazelle refused {what} as more than it gives at once, also for a single record: {messages}. Ask for fewer fields in gazelle_sync/tables, or ask Gazelle for a higher limit.",
        "Gazelle a refusé {what}, qui dépasse ce qu’il donne en une fois, même pour un seul enregistrement : {messages}. Demandez moins de champs dans gazelle_sync/tables, ou une limite plus élevée à Gazelle.",
    ),
    "cursor_lost": (
        "Gazelle no longer knows a cursor of {what}: {messages}",
        "Gazelle ne connaît plus un curseur de {what} : {messages}",
    ),
    "no_token": (
        "There is no OAuth token yet. Run `gazelle-sync login`.",
        "Il n’y a pas encore de jeton OAuth. Lancez `gazelle-sync login`.",
    ),
    "token_expired": (
        "The OAuth token expired and has no refresh token. Run `gazelle-sync login`.",
        "Le jeton OAuth a expiré et n’a pas de jeton de renouvellement. Lancez `gazelle-sync login`.",
    ),
    "token_without_access": (
        "The token has no access_token. Run `gazelle-sync login`.",
        "Le jeton n’a pas d’access_token. Lancez `gazelle-sync login`.",
    ),
    "token_file_is_none": (
        "{path} is not a token. Run `gazelle-sync login` to make a new one.",
        "{path} n’est pas un jeton. Lancez `gazelle-sync login` pour en créer un nouveau.",
    ),
    "token_file_unusable": (
        "The OAuth token can't be read or saved in {path}: {why}. Gazelle was not asked for a new one, so nothing is lost: mend this, then run the same again.",
        "Le jeton OAuth ne peut pas être lu ou enregistré dans {path} : {why}. Aucun nouveau jeton n’a été demandé à Gazelle, donc rien n’est perdu : corrigez cela, puis relancez la même commande.",
    ),
    "token_not_saved": (
        "The new OAuth token could not be saved ({why}), and the old one is spent. This process keeps it and tries again while it runs; make its place writable. If the process ends first, run `gazelle-sync login`.",
        "Le nouveau jeton OAuth n’a pas pu être enregistré ({why}), et l’ancien ne sert plus. Ce processus le garde et réessaie tant qu’il tourne ; rendez son emplacement accessible en écriture. S’il se termine avant, lancez `gazelle-sync login`.",
    ),
    "token_is_saved_again": (
        "The new OAuth token could not be saved ({why}); the next try is in {seconds} s.",
        "Le nouveau jeton OAuth n’a pas pu être enregistré ({why}) ; nouvel essai dans {seconds} s.",
    ),
    "grant_refused": (
        "Gazelle refused the OAuth grant ({grant}): it is spent or revoked, or GAZELLE_CLIENT_ID and GAZELLE_CLIENT_SECRET are not this app's. Another program that shares the token, such as the old service, may have used it: stop that one first, or use a key. Run `gazelle-sync login`.",
        "Gazelle a refusé l’autorisation OAuth ({grant}) : elle a déjà servi ou a été révoquée, ou GAZELLE_CLIENT_ID et GAZELLE_CLIENT_SECRET ne sont pas ceux de cette application. Un autre programme qui partage le jeton, comme l’ancien service, l’a peut-être utilisé : arrêtez-le d’abord, ou prenez une clé. Lancez `gazelle-sync login`.",
    ),
    "nobody_authorized": (
        "Nobody authorized gazelle-sync within {minutes} {minutes:minute|minutes}. Run `gazelle-sync login` again.",
        "Personne n’a autorisé gazelle-sync en {minutes} {minutes:minute|minutes}. Relancez `gazelle-sync login`.",
    ),
    "not_authorized_by_gazelle": (
        "Gazelle did not authorize gazelle-sync: {why}.",
        "Gazelle n’a pas autorisé gazelle-sync : {why}.",
    ),
    "no_reason_given": (
        "no reason given",
        "aucune raison donnée",
    ),
    "callback_port_taken": (
        "The callback can't listen on port {port} ({why}): free it, or give --port.",
        "Le rappel ne peut pas écouter sur le port {port} ({why}) : libérez-le, ou indiquez --port.",
    ),
    "callback_done": (
        "Thank you. You can close this page.",
        "Merci. Vous pouvez fermer cette page.",
    ),
    "callback_of_another": (
        "This page does not belong to the login that is under way. Open the address that `gazelle-sync login` shows.",
        "Cette page n’appartient pas à la connexion en cours. Ouvrez l’adresse que `gazelle-sync login` affiche.",
    ),
    # -- reading from Gazelle: lists, rows, proofs --------------------------------------------------------------------
    "table_refused": (
        "Gazelle does not let this key read the table, which an account need not have: {why}",
        "Gazelle ne laisse pas cette clé lire la table, dont un compte peut se passer : {why}",
    ),
    "list_changed": (
        "{where} of {parent} changed while the list was read, and can't be read alone: the next sync reads it anew",
        "{where} de {parent} a changé pendant la lecture et ne peut pas être lue seule : la prochaine synchronisation la relit",
    ),
    "nested_too_deeply": (
        "a value that is nested too deeply",
        "une valeur imbriquée trop profondément",
    ),
    "not_finite": (
        "a number that is not finite",
        "un nombre qui n’est pas fini",
    ),
    "translations_due": (
        "{kind}, where texts by language are due",
        "{kind} au lieu de textes par langue",
    ),
    "list_missing": (
        "Gazelle answered {what} without the list {field}.",
        "Gazelle a répondu à {what} sans la liste {field}.",
    ),
    "list_is_empty": (
        "the list is empty, and it has no count that would confirm it",
        "la liste est vide, et elle n’a pas de total qui le confirme",
    ),
    "list_shifted": (
        "{where} shifted while it was read: {seen} different {seen:record was|records were} seen, and {start} announced at the start, {end} at the end",
        "{where} a changé pendant la lecture : {seen} {seen:enregistrement distinct a été vu|enregistrements distincts ont été vus}, {start} {start:était annoncé|étaient annoncés} au début et {end} à la fin",
    ),
    "list_of": (
        "{where} of {parent}",
        "{where} de {parent}",
    ),
    "null_records": (
        "records that came as null: {count}",
        "enregistrements reçus vides (null) : {count}",
    ),
    "parent_without_id": (
        "{where} has a record without an id, so it can't be told whose {field} these are",
        "{where} contient un enregistrement sans identifiant, si bien que l’on ne peut dire à qui est {field}",
    ),
    "went_away": (
        "the record went away while its list was read",
        "l’enregistrement a disparu pendant la lecture de sa liste",
    ),
    "other_record": (
        "Gazelle answered with another record than the one that was asked for, which proves nothing",
        "Gazelle a répondu par un autre enregistrement que celui qui était demandé, ce qui ne prouve rien",
    ),
    "counting": (
        "the number of {table}",
        "le nombre de {table}",
    ),
    "not_counted": (
        "Gazelle did not count its parts: {why}",
        "Gazelle n’en a pas compté les parties : {why}",
    ),
    "outside_of_parts": (
        "Gazelle has {total} records, of which its parts have {inside}",
        "Gazelle a {total} enregistrements, dont {inside} dans ses parties",
    ),
    "not_cut": (
        "{table} is read in one piece, which is as complete and takes longer ({why})",
        "{table} est lue d’un seul tenant, ce qui est aussi complet et prend plus de temps ({why})",
    ),
    "read_again_soon": (
        "{table} could not be read to its end: {why} What was read of it is kept, and the rest is read in {seconds} s.",
        "{table} n’a pas pu être lue jusqu’au bout : {why} Ce qui en a été lu est gardé, et le reste sera lu dans {seconds} s.",
    ),
    "page_after": (
        "{table} ({field} after {cursor})",
        "{table} ({field} après {cursor})",
    ),
    "no_page": (
        "Gazelle answered {where} with something that is not a page of a connection.",
        "La réponse de Gazelle à {where} n’est pas une page de liste.",
    ),
    "cursor_does_not_move": (
        "{where}: the cursor {cursor} does not move, though there is said to be more. The list can't be read to its end; nothing was changed for this table.",
        "{where} : le curseur {cursor} n’avance pas, alors qu’il devrait y avoir une suite. La liste ne peut être lue jusqu’au bout ; rien n’a été modifié dans cette table.",
    ),
    "pages_without_news": (
        "{where}: {count:a page has|{count} pages in a row have} no record that is new, and still more are announced. The list does not end; nothing was changed for this table.",
        "{where} : {count:une page n’apporte|{count} pages de suite n’apportent} aucun nouvel enregistrement, et d’autres sont encore annoncées. La liste n’a pas de fin ; rien n’a été modifié dans cette table.",
    ),
    "list_does_not_end": (
        "{where}: {seen} {seen:record was|records were} read of {announced} that {announced:was|were} announced, and there is said to be more. The list does not end; nothing was changed for this table.",
        "{where} : {seen} {seen:enregistrement a été lu|enregistrements ont été lus} sur {announced} {announced:annoncé|annoncés}, et il devrait y avoir une suite. La liste n’a pas de fin ; rien n’a été modifié dans cette table.",
    ),
    "by_id": (
        "{table} by id ({first}{count:| and {more} more})",
        "{table} par identifiant ({first}{count:| et {more} {more:autre|autres}})",
    ),
    "records_missing": (
        "Gazelle answered {what} without {names}.",
        "Gazelle a répondu à {what} sans {names}.",
    ),
    "not_asked_any_more": (
        "not asked for, because Gazelle answered several such questions with an error",
        "pas demandé, car Gazelle a répondu par une erreur à plusieurs questions de ce genre",
    ),
    "unproved": (
        "Gazelle's answers do not tell whether these records still exist, so they stay as they are ({count}): {shown}",
        "Les réponses de Gazelle ne disent pas si ces enregistrements existent encore ; ils restent donc tels quels ({count}) : {shown}",
    ),
    "value_wrong": (
        "{column}: {why}",
        "{column} : {why}",
    ),
    "value_missing": (
        "{column}: {field} is missing from the answer",
        "{column} : {field} manque dans la réponse",
    ),
    "value_of_other_shape": (
        "the answer is not of the shape that was asked for",
        "la réponse n’a pas la forme demandée",
    ),
    "value_null": (
        "null, where a value is needed",
        "null, alors qu’une valeur est nécessaire",
    ),
    "text_repaired": (
        "a NUL or a lone surrogate, which PostgreSQL can't hold, was replaced",
        "un caractère nul ou un demi-codet isolé, que PostgreSQL ne peut contenir, a été remplacé",
    ),
    "text_due": (
        "{kind}, where text is due",
        "{kind} au lieu d’un texte",
    ),
    "texts_due": (
        "{kind}, where a list of texts is due",
        "{kind} au lieu d’une liste de textes",
    ),
    "whole_number_due": (
        "{kind}, where a whole number is due",
        "{kind} au lieu d’un nombre entier",
    ),
    "number_due": (
        "{kind}, where a number is due",
        "{kind} au lieu d’un nombre",
    ),
    "boolean_due": (
        "{kind}, where true or false is due",
        "{kind} au lieu de vrai ou faux",
    ),
    "date_due": (
        "{kind}, where a date (YYYY-MM-DD) is due",
        "{kind} au lieu d’une date (AAAA-MM-JJ)",
    ),
    "timestamp_due": (
        "{kind}, where a timestamp (ISO 8601 with a zone) is due",
        "{kind} au lieu d’un horodatage (ISO 8601 avec fuseau)",
    ),
    "kind_null": (
        "null",
        "null",
    ),
    "kind_boolean": (
        "true or false",
        "vrai ou faux",
    ),
    "kind_number": (
        "a number",
        "un nombre",
    ),
    "kind_text": (
        "text",
        "un texte",
    ),
    "kind_list": (
        "a list",
        "une liste",
    ),
    "kind_object": (
        "an object",
        "un objet",
    ),
    "number_too_large": (
        "a number too large for a PostgreSQL integer",
        "un nombre trop grand pour un entier de PostgreSQL",
    ),
    "no_such_date": (
        "a date that is not in the calendar",
        "une date qui n’existe pas dans le calendrier",
    ),
    "no_such_timestamp": (
        "a timestamp that is not in the calendar",
        "un horodatage qui n’existe pas dans le calendrier",
    ),
    "id_empty": (
        "an id that is empty",
        "un identifiant vide",
    ),
    "id_unstorable": (
        "an id with a NUL or a lone surrogate, which PostgreSQL can't hold",
        "un identifiant avec un caractère nul ou un demi-codet isolé, que PostgreSQL ne peut contenir",
    ),
    "id_too_long": (
        "an id of {length} characters, too long to be one",
        "un identifiant de {length} caractères, trop long pour en être un",
    ),
    # -- first contact: what the API lacks, page sizes, preflight -----------------------------------------------------
    "field_refused": (
        "Gazelle refuses the field {field} since {since}, so these columns keep what they have: {columns}. If it was renamed, change its path in gazelle_sync/tables; until then, the rest is read without it",
        "Gazelle refuse le champ {field} depuis le {since} : ces colonnes gardent ce qu’elles ont : {columns}. S’il a été renommé, changez son chemin dans gazelle_sync/tables ; d’ici là, le reste est lu sans lui",
    ),
    "argument_refused": (
        "Gazelle refuses the argument {field} since {since}: the list is read in the order in which it comes",
        "Gazelle refuse l’argument {field} depuis le {since} : la liste est lue dans l’ordre où elle vient",
    ),
    "refused_fields": (
        "Fields that Gazelle refuses",
        "Champs que Gazelle refuse",
    ),
    "field": (
        "field",
        "champ",
    ),
    "kept_columns": (
        "columns that keep what they have",
        "colonnes qui gardent ce qu’elles ont",
    ),
    "check_asking": (
        "who is asking",
        "qui demande",
    ),
    "check_parked": (
        "parked",
        "en veille",
    ),
    "parked": (
        "the account is parked ({reason}), and Gazelle may give less or nothing. An administrator can settle it in "
        "Gazelle, under the subscription",
        "le compte est en veille ({reason}) et Gazelle peut donner moins, ou rien. Un administrateur peut y remédier "
        "dans Gazelle, à la page de l’abonnement",
    ),
    "not_parked": (
        "no",
        "non",
    ),
    "check_maintenance": (
        "maintenance",
        "entretien",
    ),
    "maintenance_announced": (
        "announced for {at}: {message}",
        "annoncé pour {at} : {message}",
    ),
    "no_maintenance": (
        "none is announced",
        "aucun n’est annoncé",
    ),
    "clock_behind": (
        "This machine's clock is {seconds} s behind {whose}, so tokens expire unnoticed and times are wrong. Set it by "
        "the network: timedatectl set-ntp true",
        "L’horloge de cette machine retarde de {seconds} s sur {whose} : des jetons expirent sans qu’on le remarque, et "
        "les heures sont fausses. Mettez-la à l’heure par le réseau : timedatectl set-ntp true",
    ),
    "clock_ahead": (
        "This machine's clock is {seconds} s ahead of {whose}, so tokens expire unnoticed and times are wrong. Set it by "
        "the network: timedatectl set-ntp true",
        "L’horloge de cette machine avance de {seconds} s sur {whose} : des jetons expirent sans qu’on le remarque, et "
        "les heures sont fausses. Mettez-la à l’heure par le réseau : timedatectl set-ntp true",
    ),
    "clock_of_gazelle": (
        "Gazelle's",
        "celle de Gazelle",
    ),
    "clock_of_database": (
        "the database's",
        "celle de la base de données",
    ),
    "check_currency": (
        "currency",
        "monnaie",
    ),
    "currency_in_hundredths": (
        "{currency}, in hundredths",
        "{currency}, en centièmes",
    ),
    "currency_in_other_parts": (
        "{currency}, of which {divisor} make one unit. Tables keep amounts as Gazelle has them; the views divide by 100, "
        "which is wrong here: tell the maintainers",
        "{currency}, dont {divisor} font une unité. Les tables gardent les montants comme Gazelle les a ; les vues "
        "divisent par 100, ce qui est faux ici : prévenez les responsables du projet",
    ),
    "not_told": (
        "Gazelle does not say",
        "Gazelle ne le dit pas",
    ),
    "trying": (
        "Trying every query of every table, which takes up to a minute…",
        "Essai de chaque requête de chaque table, en une minute au plus…",
    ),
    "check_schema": (
        "schema",
        "schéma",
    ),
    "schema_as_known": (
        "has all that is asked for",
        "a tout ce qui est demandé",
    ),
    "schema_hidden": (
        "can't be looked at, as Gazelle refuses introspection; the queries alone tell",
        "invisible, car Gazelle refuse l’introspection ; seules les requêtes renseignent",
    ),
    "schema_differs": (
        "lacks something that is asked for, or has it otherwise: {count}, named below",
        "n’a pas quelque chose qui est demandé, ou l’a autrement : {count}, ci-dessous",
    ),
    "check_queries": (
        "queries",
        "requêtes",
    ),
    "queries_good": (
        "{count} were sent, and all of them are answered as a sync needs it",
        "{count} {count:envoyée, répondue|envoyées, toutes répondues} comme une synchronisation en a besoin",
    ),
    "queries_bad": (
        "{count} were answered; something is missing for {tables}",
        "{count} ont reçu une réponse ; il manque quelque chose à {tables}",
    ),
    "listed_but_gone": (
        "Gazelle lists records of it, and says of the same records, asked for by id, that they don't exist. Syncs would "
        "mark records as deleted that are there: name the table in GAZELLE_TABLES_OFF and tell the maintainers",
        "Gazelle en liste des fiches et dit des mêmes fiches, demandées par leur identifiant, qu’elles n’existent pas. "
        "Les synchronisations marqueraient comme supprimées des fiches qui existent : nommez la table dans "
        "GAZELLE_TABLES_OFF et prévenez les responsables du projet",
    ),
    "time_is_up": (
        "not tried to its end, as the minute was over. Run the check again when Gazelle is quicker",
        "essai inachevé, car la minute était écoulée. Relancez la vérification quand Gazelle sera plus rapide",
    ),
    "difference_gone": (
        "Gazelle's schema has no {what} any more, which is asked for. It costs: {columns}",
        "Le schéma de Gazelle n’a plus {what}, qui est demandé. Cela coûte : {columns}",
    ),
    "difference_type": (
        "Gazelle's schema has another type now: {what}. What does not convert is set aside. It concerns: {columns}",
        "Le schéma de Gazelle a maintenant un autre type : {what}. Ce qui ne se convertit pas est mis de côté. Cela "
        "concerne : {columns}",
    ),
    "difference_null": (
        "Gazelle's schema lets it be null now: {what}. It concerns: {columns}",
        "Le schéma de Gazelle permet maintenant que ce soit nul : {what}. Cela concerne : {columns}",
    ),
    "difference_new_value": (
        "Gazelle's schema has a new value, {what}, that no filter names: records that have it are not listed. Tell the "
        "maintainers",
        "Le schéma de Gazelle a une nouvelle valeur, {what}, qu’aucun filtre ne nomme : les fiches qui l’ont ne sont pas "
        "listées. Prévenez les responsables du projet",
    ),
    "the_whole_table": (
        "the whole table",
        "toute la table",
    ),
    "records": (
        "records",
        "fiches",
    ),
    "page": (
        "page size",
        "taille de page",
    ),
    "page_seconds": (
        "seconds a page",
        "secondes par page",
    ),
    "night_requests": (
        "requests a night",
        "requêtes par nuit",
    ),
    "night_minutes": (
        "minutes a night",
        "minutes par nuit",
    ),
    "full_requests": (
        "requests in full",
        "requêtes en entier",
    ),
    "full_minutes": (
        "minutes in full",
        "minutes en entier",
    ),
    "in_all": (
        "in all, about",
        "en tout, environ",
    ),
    "report_written": (
        "The report is in {file}: no names, texts or keys are in it. Look through it before you send it.",
        "Le rapport est dans {file} : il ne contient ni noms, ni textes, ni clés. Parcourez-le avant de l’envoyer.",
    ),
    # -- the database: connection, migrations, preflight --------------------------------------------------------------
    "reading_the_database": (
        "Reading the database",
        "La lecture de la base de données",
    ),
    "compared_again": (
        "Something is not there that was: the database is compared with the declarations, and it is tried again. {why}",
        "Quelque chose a disparu : la base est comparée aux déclarations, puis on réessaie. {why}",
    ),
    "preparing_the_tables": (
        "Preparing the tables",
        "La préparation des tables",
    ),
    "making_the_schema": (
        "Making the schema {schema}",
        "La création du schéma {schema}",
    ),
    "reading_the_clock": (
        "Reading the database's clock",
        "La lecture de l’horloge de la base de données",
    ),
    "failed_after": (
        "{what} failed after {attempts} {attempts:attempt|attempts}: {why}",
        "{what} a échoué après {attempts} {attempts:tentative|tentatives} : {why}",
    ),
    "tried_again": (
        "{what}: {why}; attempt {attempt} follows",
        "{what} : {why} ; la tentative {attempt} va suivre",
    ),
    "no_connection": (
        "no connection",
        "pas de connexion",
    ),
    "pooler_user": (
        "Through Supabase's poolers the user is role.project, such as postgres.abcdefghijklmnopqrst.",
        "Par les poolers de Supabase, l’utilisateur est role.projet, par exemple postgres.abcdefghijklmnopqrst.",
    ),
    "wrong_password": (
        "The user or the password in SUPABASE_DB_URL is wrong. Supabase shows a password once: reset it in the database settings. Characters such as @ / : # in it are written %40 %2F %3A %23. Right after a reset, a pooler may still refuse the first connection: try once more.",
        "L’utilisateur ou le mot de passe de SUPABASE_DB_URL est faux. Supabase ne montre un mot de passe qu’une fois : réinitialisez-le dans les réglages de la base. Les caractères comme @ / : # s’y écrivent %40 %2F %3A %23. Juste après une réinitialisation, un pooler peut encore refuser la première connexion : réessayez.",
    ),
    "wrong_password_of_role": (
        "The user or the password in the connection string is wrong. It is a role of your own, which the dashboard does not reset: as postgres, run ALTER ROLE … PASSWORD '…'. Characters such as @ / : # in it are written %40 %2F %3A %23. Right after a change, a pooler may still refuse the first connection: try once more.",
        "L’utilisateur ou le mot de passe de la chaîne de connexion est faux. C’est un rôle à vous, que le tableau de bord ne réinitialise pas : en tant que postgres, exécutez ALTER ROLE … PASSWORD '…'. Les caractères comme @ / : # s’y écrivent %40 %2F %3A %23. Juste après un changement, un pooler peut encore refuser la première connexion : réessayez.",
    ),
    "pooler_project": (
        "The pooler knows no such project, or no such role in it: copy the string anew from the dashboard (Connect), whose host names the region, and look whether the project is paused.",
        "Le pooler ne connaît pas ce projet, ou pas ce rôle : copiez de nouveau la chaîne depuis le tableau de bord (Connect), dont l’hôte nomme la région, et vérifiez que le projet n’est pas en pause.",
    ),
    "pooler_address": (
        "The project's network restrictions do not let this machine's address in: add it in the database settings (Network restrictions).",
        "Les restrictions réseau du projet n’acceptent pas l’adresse de cette machine : ajoutez-la dans les réglages de la base (Network restrictions).",
    ),
    "pooler_login": (
        "The pooler could not ask the database for this role: look whether the project is paused or its database restarts, and whether the role is there and may log in.",
        "Le pooler n’a pas pu interroger la base sur ce rôle : vérifiez que le projet n’est pas en pause et que la base ne redémarre pas, et que le rôle existe et peut se connecter.",
    ),
    "pooler_full": (
        "All places of the session pooler are taken: end what else is connected, or use port 6543 of the same host, or give the pool more places in the database settings.",
        "Toutes les places du pooler de session sont prises : fermez d’autres connexions, ou prenez le port 6543 du même hôte, ou donnez plus de places au pool dans les réglages de la base.",
    ),
    "options_dropped": (
        "{variable} has options of another program, which are left out: {options}",
        "{variable} contient des options d’un autre programme, qui sont laissées de côté : {options}",
    ),
    "database_not_utf8": (
        "The database is encoded in {encoding}, which has no room for every name and note. Make another one, and let SUPABASE_DB_URL name it: {mending}",
        "La base de données est encodée en {encoding}, qui ne peut pas contenir chaque nom et chaque note. Créez-en une autre, et que SUPABASE_DB_URL la désigne : {mending}",
    ),
    "not_the_owner": (
        "The next sync has to add to {tables}, which only the owner may, and {role} is not. As a superuser or as the owner, run: {mending}",
        "La prochaine synchronisation doit compléter {tables}, ce que seul le propriétaire peut faire, et {role} ne l’est pas. En tant que superutilisateur ou propriétaire, exécutez : {mending}",
    ),
    "may_not_make_schema": (
        "The role {role} of {variable} may not make tables in the schema {schema} of {database}. As the owner, run: {mending}",
        "Le rôle {role} de {variable} ne peut pas créer de tables dans le schéma {schema} de {database}. En tant que propriétaire, exécutez : {mending}",
    ),
    "address_not_let_in": (
        "The server wants TLS, or does not let this address in: look at its network restrictions.",
        "Le serveur exige TLS, ou n’accepte pas cette adresse : regardez ses restrictions réseau.",
    ),
    "certificate_not_verified": (
        "The server's certificate could not be verified: sslrootcert has to be the file with Supabase's CA, which the database settings offer, and the host the one that the certificate names.",
        "Le certificat du serveur n’a pas pu être vérifié : sslrootcert doit désigner le fichier de l’autorité de Supabase, offert dans les réglages de la base, et l’hôte doit être celui que nomme le certificat.",
    ),
    "no_such_database": (
        "The name after the last / of SUPABASE_DB_URL is the database; Supabase's is postgres.",
        "Le nom après le dernier / de SUPABASE_DB_URL est celui de la base ; chez Supabase, c’est postgres.",
    ),
    "no_way_to_host": (
        "Supabase's direct address is IPv6 only, and many hosts have none: take the string of the session pooler (…pooler.supabase.com, port 5432). Otherwise the host's name is misspelt, or the project is paused.",
        "L’adresse directe de Supabase n’existe qu’en IPv6, que bien des machines n’ont pas : prenez la chaîne du pooler en mode session (…pooler.supabase.com, port 5432). Sinon, le nom de l’hôte est mal écrit, ou le projet est en pause.",
    ),
    "nothing_answers": (
        "Nothing answers on that port: 5432 is the direct address and the session pooler, 6543 the transaction pooler.",
        "Rien ne répond sur ce port : 5432 est celui de l’adresse directe et du pooler en mode session, 6543 celui du pooler en mode transaction.",
    ),
    "look_for_leftovers": (
        "`gazelle-sync check` says whether something that no declaration has refuses it, and what mends it.",
        "`gazelle-sync check` dit si quelque chose qui n’est dans aucune déclaration l’empêche, et comment y remédier.",
    ),
    "right_is_lacking": (
        "Give the role of SUPABASE_DB_URL that right, or use the owner's (`gazelle-sync check` says which).",
        "Donnez ce droit au rôle de SUPABASE_DB_URL, ou prenez le rôle du propriétaire (`gazelle-sync check` dit quel droit manque).",
    ),
    "disk_is_full": (
        "The database's disk is full: make room, then run the sync again.",
        "Le disque de la base de données est plein : faites de la place, puis relancez la synchronisation.",
    ),
    "took_too_long": (
        "It took longer than the timeout: look for something that holds a lock (pg_stat_activity).",
        "Cela a duré plus que le délai permis : cherchez ce qui tient un verrou (pg_stat_activity).",
    ),
    "server_too_old": (
        "PostgreSQL {version} is too old: at least 15 is needed, whose views run with the rights of whoever asks.",
        "PostgreSQL {version} est trop ancien : il faut au moins la version 15, dont les vues s’exécutent avec les droits de qui les lit.",
    ),
    "table_is_held": (
        "The tables could not be brought up to date in {minutes} {minutes:minute|minutes} without holding up whoever reads them: {holders}. Nothing was changed. End that session, or wait until it is done, and run the sync again.",
        "Les tables n’ont pas pu être mises à jour en {minutes} {minutes:minute|minutes} sans faire attendre leurs lecteurs : {holders}. Rien n’a été modifié. Mettez fin à cette session, ou attendez qu’elle ait fini, puis relancez la synchronisation.",
    ),
    "waiting_for_table": (
        "The tables are to be brought up to date, and somebody holds one of them; it is tried again until it is free: {holders}",
        "Les tables doivent être mises à jour, et l’une d’elles est occupée ; un nouvel essai suivra jusqu’à ce qu’elle soit libre : {holders}",
    ),
    "holder": (
        "{table} is held by {application} (user {user}, pid {pid}) since {since} UTC, with a query begun at {query_since} UTC",
        "{table} est tenue par {application} (utilisateur {user}, pid {pid}) depuis {since} UTC, avec une requête commencée à {query_since} UTC",
    ),
    "holder_is_gone": (
        "whoever held it has just let it go ({statement})",
        "qui la tenait vient de la libérer ({statement})",
    ),
    "left_as_it_is": (
        "left as it is, without {what}: {why}",
        "laissé tel quel, sans {what} : {why}",
    ),
    "schema_named": (
        "schema {what}",
        "schéma {what}",
    ),
    "table_named": (
        "table {what}",
        "table {what}",
    ),
    "column_named": (
        "column {what}",
        "colonne {what}",
    ),
    "proof_of": (
        "check of all rows of the foreign key {what}",
        "vérification de toutes les lignes de la clé étrangère {what}",
    ),
    "foreign_key_named": (
        "foreign key {what}",
        "clé étrangère {what}",
    ),
    "index_named": (
        "index {what}",
        "index {what}",
    ),
    "constraint_named": (
        "constraint {what}",
        "contrainte {what}",
    ),
    "view_named": (
        "view {what}",
        "vue {what}",
    ),
    "making_search": (
        "Making the indexes for texts",
        "La création des index de texte",
    ),
    "no_trigrams": (
        "This server has no extension pg_trgm, which searching in texts by an index takes. All else works without.",
        "Ce serveur n’a pas l’extension pg_trgm, qu’il faut pour chercher dans les textes par un index. Tout le reste fonctionne sans.",
    ),
    "trigrams_not_allowed": (
        "The role may not make the extension pg_trgm. Run this as one who may, and then this command again: {mending}",
        "Le rôle n’a pas le droit de créer l’extension pg_trgm. Exécutez ceci avec un rôle qui l’a, puis de nouveau cette commande : {mending}",
    ),
    "search_added": (
        "added: an index for searching in {table} ({columns}). It took {seconds} s, and takes {megabytes} MB; new and changed texts cost a little more to write.",
        "ajouté : un index pour chercher dans {table} ({columns}). Il a pris {seconds} s, et occupe {megabytes} Mo ; écrire un texte nouveau ou modifié coûte un peu plus.",
    ),
    "search_is_there": (
        "The index for searching in {table} ({columns}) is there, and takes {megabytes} MB.",
        "L’index pour chercher dans {table} ({columns}) existe, et occupe {megabytes} Mo.",
    ),
    "search_taken_back": (
        "To be rid of it: {mending}",
        "Pour s’en défaire : {mending}",
    ),
    "view_is_theirs": (
        "left as it is: {view} is not of this version, and was made or altered by somebody. Drop it, and the next sync makes it anew.",
        "laissée telle quelle : la vue {view} n’est pas de cette version, et quelqu’un l’a créée ou modifiée. Supprimez-la, et la prochaine synchronisation la recréera.",
    ),
    "view_is_not_there": (
        "{view} is not there, or not for this role to read: what it reads is not as declared (`gazelle-sync migrate` says why), or a right is lacking (`gazelle-sync check`).",
        "{view} n’existe pas, ou ce rôle ne peut pas la lire : ce qu’elle lit n’est pas conforme à sa déclaration (`gazelle-sync migrate` dit pourquoi), ou un droit manque (`gazelle-sync check`).",
    ),
    "view_left_out": (
        "left out: the view {view}. {why}",
        "laissée de côté : la vue {view}. {why}",
    ),
    "time_zone_of": (
        "a time zone for {what}",
        "fuseau horaire pour {what}",
    ),
    "type_of": (
        "the type {type} for {what}",
        "type {type} pour {what}",
    ),
    "view_of_another_role": (
        "It is another role's; `gazelle-sync check` has the statement that gives it to this one.",
        "Elle est à un autre rôle ; `gazelle-sync check` donne l’instruction qui la donne à celui-ci.",
    ),
    "not_null_of": (
        "not null for {what}",
        "valeur obligatoire pour {what}",
    ),
    "role_named": (
        "role {role}",
        "rôle {role}",
    ),
    "pooler_not_seen": (
        "Looking for a pooler failed: {why}",
        "La recherche d’un pooler a échoué : {why}",
    ),
    "may_not_create": (
        "The role {role} may not create tables. As the owner, run: {mending}",
        "Le rôle {role} n’a pas le droit de créer des tables. En tant que propriétaire, exécutez : {mending}",
    ),
    "may_not_stage": (
        "The role {role} may not make temporary tables, which a sync compares with. As the owner, run: {mending}",
        "Le rôle {role} n’a pas le droit de créer des tables temporaires, avec lesquelles une synchronisation compare. En tant que propriétaire, exécutez : {mending}",
    ),
    "may_not_write": (
        "The role {role} may not read and write {tables}. As the owner, run: {mending}",
        "Le rôle {role} n’a pas le droit de lire et d’écrire {tables}. En tant que propriétaire, exécutez : {mending}",
    ),
    "rows_hidden": (
        "Row level security hides {tables} from the role {role}, which is not their owner. As the owner, run: {mending}",
        "La sécurité des lignes cache {tables} au rôle {role}, qui n’en est pas propriétaire. En tant que propriétaire, exécutez : {mending}",
    ),
    "column_is_otherwise": (
        "{column} is {there}, declared {meant}",
        "{column} est de type {there}, mais déclarée {meant}",
    ),
    "columns_are_otherwise": (
        "{columns}. As the owner, look at what it holds, and run: {mending}",
        "{columns}. En tant que propriétaire, regardez ce qu’elle contient, puis exécutez : {mending}",
    ),
    "column_is_kept": (
        "{column} is {there} and stays so (declared {meant}), as something is made of it: {dependents}. A sync reads and writes it all the same.",
        "{column} est de type {there} et le reste (déclarée {meant}), car quelque chose en dépend : {dependents}. Une synchronisation la lit et l’écrit tout de même.",
    ),
    "views_are_left_out": (
        "Of the views that read it, these are left out for it: {views}.",
        "Parmi les vues qui la lisent, celles-ci sont laissées de côté : {views}.",
    ),
    "column_to_mend": (
        "To have it as declared, run: {mending}",
        "Pour l’avoir telle que déclarée, exécutez : {mending}",
    ),
    "name_is_taken": (
        "{names} in the schema gazelle should be a table and is something else. As the owner, run: {mending}",
        "{names} dans le schéma gazelle devrait être une table et est autre chose. En tant que propriétaire, exécutez : {mending}",
    ),
    "row_security_off": (
        "Row level security is off on {tables}: a grant shows every row. As the owner, run (who read until now, needs a policy): {mending}",
        "La sécurité des lignes est inactive sur {tables} : un droit de lecture montre chaque ligne. En tant que propriétaire, exécutez (qui lisait jusqu’ici a besoin d’une politique) : {mending}",
    ),
    "holds_rights": (
        "{role} holds rights on {on}",
        "{role} a des droits sur {on}",
    ),
    "too_open": (
        "{what}, and no policy says that they should. As the owner, run: {mending}",
        "{what}, et aucune politique ne le prévoit. En tant que propriétaire, exécutez : {mending}",
    ),
    "may_do": (
        "{role} may {what} on {on}",
        "{role} a {what} sur {on}",
    ),
    "reads_through": (
        "{roles} read our tables through the view {view}, which shows every row",
        "{roles} lisent nos tables à travers la vue {view}, qui montre chaque ligne",
    ),
    "would_publish": (
        "{who}, without a policy, and this would add {columns}: personal data that they could read from then on. Nothing was changed. As the owner, run (who read until now, needs a policy): {mending} Or accept it as it is: gazelle-sync migrate --accept-readers",
        "{who}, sans politique, et ceci ajouterait {columns} : des données personnelles qui deviendraient lisibles pour eux. Rien n’a été changé. En tant que propriétaire, exécutez (qui lisait jusqu’ici a besoin d’une politique) : {mending} Ou acceptez l’état actuel : gazelle-sync migrate --accept-readers",
    ),
    "rest_not_served": (
        "The REST API does not serve the schema {schema}, only {others}. Add it to the exposed schemas in Supabase's API settings, or run: {mending}",
        "L’API REST ne sert pas le schéma {schema}, seulement {others}. Ajoutez-le aux schémas exposés dans les réglages API de Supabase, ou exécutez : {mending}",
    ),
    "leftover_column": (
        "the column {table}.{column} may not be null, and no declaration fills it",
        "la colonne {table}.{column} ne peut pas être nulle, et aucune déclaration ne la remplit",
    ),
    "leftover_foreign_key": (
        "the foreign key {constraint} lets {table}.{column} refer only to what is in {parent}, which no declaration fills for it",
        "la clé étrangère {constraint} ne laisse {table}.{column} renvoyer qu’à ce qui est dans {parent}, qu’aucune déclaration ne remplit pour elle",
    ),
    "leftover_unique": (
        "the constraint {constraint} refuses two rows of {table} with the same {columns}, and no declaration says that there are none",
        "la contrainte {constraint} refuse deux lignes de {table} ayant les mêmes valeurs ({columns}), et aucune déclaration ne dit qu’il n’y en a pas",
    ),
    "leftovers": (
        "New rows may be refused: {what}. As the owner, run: {mending}",
        "De nouvelles lignes peuvent être refusées : {what}. En tant que propriétaire, exécutez : {mending}",
    ),
    "leftovers_before_reading": (
        "New rows would be refused, so nothing was read: {what}. As the owner, run: {mending}",
        "De nouvelles lignes seraient refusées ; rien n’a donc été lu : {what}. En tant que propriétaire, exécutez : {mending}",
    ),
    "connection_string_not_understood": (
        "{variable} is not a connection string. It looks like postgresql://user:password@host:5432/database; characters such as @ / : # in the password are written %40 %2F %3A %23.",
        "{variable} n’est pas une chaîne de connexion. Elle ressemble à postgresql://user:password@host:5432/database ; dans le mot de passe, des caractères comme @ / : # s’écrivent %40 %2F %3A %23.",
    ),
    "connection_string_for_another": (
        "{variable} is for another kind of database, and has to be for postgresql://.",
        "{variable} désigne un autre type de base de données ; elle doit commencer par postgresql://.",
    ),
    "connection_without_tls": (
        "{variable} has an sslmode that may go without TLS, for a host that is not this machine: the password and all data would travel in the clear. Use sslmode=require, or better verify-full.",
        "{variable} a un sslmode qui permet de se passer de TLS, pour un hôte qui n’est pas cette machine : le mot de passe et toutes les données circuleraient en clair. Utilisez sslmode=require, ou mieux verify-full.",
    ),
    "token_table_unusable": (
        "The OAuth token could not be read or saved in the database: {why}",
        "Le jeton OAuth n’a pas pu être lu ou enregistré dans la base de données : {why}",
    ),
    "token_row_is_kept": (
        "Another process has kept the OAuth token for {seconds} s (a row of gazelle.oauth_token). Look for a gazelle-sync that hangs, and end it; then run the same again.",
        "Un autre processus garde le jeton OAuth depuis {seconds} s (une ligne de gazelle.oauth_token). Cherchez un gazelle-sync bloqué et arrêtez-le, puis relancez la même commande.",
    ),
    # -- the database: loads and their warnings -----------------------------------------------------------------------
    "loading": (
        "Loading {table}",
        "Le chargement de {table}",
    ),
    "overtaken": (
        "overtaken: run {run} began to read this table later, at {at} UTC, and was done first. What it stored is newer, so nothing was written",
        "dépassée : l’exécution {run} a commencé à lire cette table plus tard, à {at} UTC, et a fini la première. Ce qu’elle a enregistré est plus récent ; rien n’a donc été écrit",
    ),
    "overtaken_in_part": (
        "overtaken in part: another load of this table, done meanwhile, knows {count} {count:record better; it stays|records better; they stay} as it stored {count:it|them}",
        "dépassée en partie : un autre chargement de cette table, fait entre-temps, connaît mieux {count} {count:enregistrement ; il reste tel|enregistrements ; ils restent tels} qu’il {count:l’a enregistré|les a enregistrés}",
    ),
    "nothing_counted": (
        "this key may not read the table, so there is nothing to count",
        "cette clé ne peut pas lire la table : il n’y a rien à compter",
    ),
    "list_not_proved": (
        "the list could not be proved whole in {reads} reads, so nothing was marked as deleted: {seen} of {expected} {expected:record|records} seen; {doubts}",
        "en {reads} lectures, rien n’a prouvé que la liste est entière ; rien n’a donc été marqué comme supprimé : {seen} {seen:enregistrement vu|enregistrements vus} sur {expected} ; {doubts}",
    ),
    "too_many_gone": (
        "{missing} of {in_scope} {in_scope:record|records} {missing:is|are} no longer listed, and of {asked} of them that {asked:was|were} asked for by id {gone} {gone:is|are} gone: more than may go at once ({limit}), so none was marked as deleted. If this is right, run `gazelle-sync sync --table {table} --allow-mass-delete` once",
        "{missing} {missing:enregistrement|enregistrements} sur {in_scope} {missing:n’est|ne sont} plus dans la liste, et sur {asked} {asked:demandé|demandés} par identifiant, {gone} {gone:n’existe|n’existent} plus : c’est plus qu’il ne peut en disparaître d’un coup ({limit}) ; aucun n’a donc été marqué comme supprimé. Si c’est voulu, lancez une fois `gazelle-sync sync --table {table} --allow-mass-delete`",
    ),
    "emptied": (
        "values came empty for more records than can be believed, so these columns keep what they have: {columns}. If this is right, run `gazelle-sync sync --table {table} --allow-mass-delete` once",
        "trop de valeurs sont arrivées vides pour que ce soit vraisemblable ; ces colonnes gardent donc ce qu’elles ont : {columns}. Si c’est voulu, lancez une fois `gazelle-sync sync --table {table} --allow-mass-delete`",
    ),
    "emptied_column": (
        "{column} ({lost} of {had})",
        "{column} ({lost} sur {had})",
    ),
    "most_rows_changed": (
        "most rows changed at once (of {rows}), which is done, and worth a look: {columns}",
        "la plupart des lignes ont changé d’un coup (sur {rows}) ; c’est fait, et cela mérite un coup d’œil : {columns}",
    ),
    "rejected_records": (
        "{count} {count:record could not be stored as it|records could not be stored as they} came: {shown}",
        "{count} {count:enregistrement n’a pas pu être enregistré tel quel|enregistrements n’ont pas pu être enregistrés tels quels} : {shown}",
    ),
    "and_more_rejects": (
        "{shown}; and {more} more, see gazelle.rejected_rows",
        "{shown} ; et {more} {more:autre|autres}, voir gazelle.rejected_rows",
    ),
    "filled_rows": (
        "{table}: new columns filled in {filled} {filled:row|rows}",
        "{table} : nouvelles colonnes remplies dans {filled} {filled:ligne|lignes}",
    ),
    "filled_in_part": (
        "new columns ({columns}) are filled for {scope} only; the next run that reads all history fills the rest",
        "les nouvelles colonnes ({columns}) ne sont remplies que pour {scope} ; la prochaine exécution qui lit tout l’historique remplira le reste",
    ),
    # -- the account, what was covered, and when ----------------------------------------------------------------------
    "missing_for_now": (
        "no longer listed ({count}): {records}. One night proves nothing: what is still missing {hours} {hours:hour|hours} later "
        "will be marked as deleted",
        "{count:ne figure plus|ne figurent plus} dans la liste ({count}) : {records}. Une seule nuit ne prouve rien : ce qui manque encore "
        "{hours} {hours:heure|heures} plus tard sera marqué comme supprimé",
    ),
    "missing_and_referred_to": (
        "no longer listed ({count}), but kept, because something live refers to {count:it|them}: {records}. If {count:it is|they are} gone, give "
        "that to somebody else in Gazelle",
        "{count:ne figure plus|ne figurent plus} dans la liste ({count}), mais {count:reste conservé|restent conservés}, car des données actuelles s’y rapportent : "
        "{records}. {count:S’il n’existe plus|S’ils n’existent plus}, réattribuez ces données dans Gazelle",
    ),
    "another_account": (
        "These credentials are for {asked} ({asked_id}), and the database mirrors {kept} ({kept_id}). Nothing was "
        "written. Set the credentials of {kept}, or a database of its own for {asked} in SUPABASE_DB_URL. If this "
        "database is really meant to go on with {asked}, run: DELETE FROM gazelle.account;",
        "Ces identifiants sont ceux de {asked} ({asked_id}), alors que la base de données reproduit {kept} "
        "({kept_id}). Rien n’a été écrit. Donnez les identifiants de {kept}, ou une base à part pour {asked} dans "
        "SUPABASE_DB_URL. Si cette base doit vraiment continuer avec {asked}, exécutez : DELETE FROM gazelle.account;",
    ),
    "account_not_told": (
        "Gazelle did not say whose account this is, nor what it shows, so nothing was marked as deleted. The API may "
        "have changed: `gazelle-sync check` says more",
        "Gazelle n’a dit ni de qui est ce compte, ni ce qu’il montre ; rien n’a donc été marqué comme supprimé. L’API a "
        "peut-être changé : `gazelle-sync check` en dit plus",
    ),
    "no_company_named": (
        "Gazelle named no company, and the database mirrors {kept} ({kept_id}), so nothing was read. Look at whose key "
        "this is, then run the sync again.",
        "Gazelle n’a nommé aucune entreprise, alors que la base de données reproduit {kept} ({kept_id}) ; rien n’a donc "
        "été lu. Vérifiez à qui appartient la clé, puis relancez la synchronisation.",
    ),
    "sees_less": (
        "the key belongs to somebody who may not see everything ({access}), so nothing was marked as deleted. Use the "
        "key of an administrator with full access",
        "la clé appartient à quelqu’un qui ne peut pas tout voir ({access}) ; rien n’a donc été marqué comme supprimé. "
        "Utilisez la clé d’un administrateur à l’accès complet",
    ),
    "sees_less_than_before": (
        "the access shrank: on {at} UTC the key still showed everything, and now it belongs to somebody who may not "
        "see everything ({access}), so nothing was marked as deleted. Use the key of an administrator with full access",
        "l’accès s’est réduit : le {at} UTC la clé montrait encore tout ; elle appartient maintenant à quelqu’un qui "
        "ne peut pas tout voir ({access}), et rien n’a donc été marqué comme supprimé. Utilisez la clé d’un "
        "administrateur à l’accès complet",
    ),
    "access_unknown": (
        "access level unknown",
        "niveau d’accès inconnu",
    ),
    "access_limited": (
        "{level}, with limited access",
        "{level}, à l’accès limité",
    ),
    "check_account": (
        "account",
        "compte",
    ),
    "mirrored_account": (
        "The account of {company} ({id})",
        "Le compte de {company} ({id})",
    ),
    "interrupted": (
        "interrupted",
        "interrompue",
    ),
    "log_not_written": (
        "sync_log could not be told that {table} failed: {why}",
        "sync_log n’a pas pu noter l’échec de {table} : {why}",
    ),
    "log_not_read": (
        "The log could not be read, so the run will do the usual months: {why}",
        "Le journal n’a pas pu être lu ; l’exécution fera donc les mois habituels : {why}",
    ),
    "no_such_month": (
        "There is no month from {first} to {last}: history begins in {history} (GAZELLE_HISTORY_START), and the last "
        "month is {latest_month}.",
        "Il n’y a pas de mois du {first} au {last} : l’historique commence en {history} (GAZELLE_HISTORY_START), et le "
        "dernier mois est {latest_month}.",
    ),
    "known_as_of": (
        "all is known up to {at} UTC; since then something was not read, or not read whole",
        "tout est connu jusqu’au {at} UTC ; depuis, quelque chose n’a pas été lu, ou pas en entier",
    ),
    "never_proved": (
        "read since {at} UTC, but never proved whole",
        "lue depuis le {at} UTC, mais jamais avec la preuve que rien ne manque",
    ),
    "never_materialized": (
        "the table was never materialized",
        "la table n’a jamais été matérialisée",
    ),
    # -- alerts -------------------------------------------------------------------------------------------------------
    "quoted": (
        "“{text}”",
        "« {text} »",
    ),
    "alert_time": (
        "{day} {month} {year} at {hour:02}:{minute:02} ({zone}, {offset})",
        "{day} {month} {year} à {hour} h {minute:02} ({zone}, {offset})",
    ),
    "months": (
        "January February March April May June July August September October November December",
        "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    ),
    "first_of_month": (
        "1",
        "1er",
    ),
    "alert_why": (
        "Why: {why}",
        "Pourquoi : {why}",
    ),
    "alert_advice": (
        "What to do: {advice}",
        "Que faire : {advice}",
    ),
    "alert_link": (
        "Where to look: {link}",
        "Où regarder : {link}",
    ),
    "alert_lasted": (
        "That lasted {duration}, since {when}.",
        "Cela a duré {duration}, depuis le {when}.",
    ),
    "alert_nothing_to_do": (
        "There is nothing left to do.",
        "Il n’y a plus rien à faire.",
    ),
    "days": (
        "{count} {count:day|days}",
        "{count} {count:jour|jours}",
    ),
    "hours": (
        "{count} {count:hour|hours}",
        "{count} {count:heure|heures}",
    ),
    "minutes": (
        "{count} {count:minute|minutes}",
        "{count} {count:minute|minutes}",
    ),
    "less_than_a_minute": (
        "less than a minute",
        "moins d’une minute",
    ),
    "and": (
        "{one} and {other}",
        "{one} et {other}",
    ),
    "run_failed_subject": (
        "The run of {about} failed",
        "L’exécution de {about} a échoué",
    ),
    "run_failed_since": (
        "The run of {about} failed on {when}.",
        "L’exécution de {about} a échoué le {when}.",
    ),
    "run_failed_advice": (
        "Open the run and read its first error. If the cause has passed, there is nothing to repair: the next scheduled run also covers what was missed. If not, remove the cause and run the same again.",
        "Ouvrez l’exécution et lisez sa première erreur. Si la cause a disparu, il n’y a rien à réparer : la prochaine exécution prévue reprend aussi ce qui a manqué. Sinon, éliminez la cause et relancez la même exécution.",
    ),
    "run_failed_well": (
        "The run of {about} succeeds again",
        "L’exécution de {about} réussit de nouveau",
    ),
    "run_hung_subject": (
        "The run of {about} gives no sign of life",
        "L’exécution de {about} ne donne plus signe de vie",
    ),
    "run_hung_since": (
        "The run of {about} has given no sign of life since {when}.",
        "L’exécution de {about} ne donne plus signe de vie depuis le {when}.",
    ),
    "run_hung_advice": (
        "Check that the machine and the Dagster daemon are up. Terminate the run in Dagster if it is still shown as running, then run the same again.",
        "Vérifiez que la machine et le démon de Dagster fonctionnent. Arrêtez l’exécution dans Dagster si elle y figure encore comme étant en cours, puis relancez-la.",
    ),
    "run_hung_well": (
        "The run of {about} hangs no longer",
        "L’exécution de {about} n’est plus bloquée",
    ),
    "backfill_failed_subject": (
        "The backfill of {about} failed",
        "Le rattrapage de {about} a échoué",
    ),
    "backfill_failed_since": (
        "The backfill of {about} failed on {when}.",
        "Le rattrapage (backfill) de {about} a échoué le {when}.",
    ),
    "backfill_failed_advice": (
        "Open the backfill to see which months are missing, remove the cause, and start it again for these.",
        "Ouvrez le rattrapage pour voir quels mois manquent, éliminez la cause et relancez-le pour ces mois.",
    ),
    "backfill_failed_well": (
        "The backfill of {about} succeeds again",
        "Le rattrapage de {about} réussit de nouveau",
    ),
    "check_failed_subject": (
        "The check {about} fails",
        "Le contrôle {about} échoue",
    ),
    "check_failed_since": (
        "The check {about} has been failing since {when}.",
        "Le contrôle {about} échoue depuis le {when}.",
    ),
    "check_failed_advice": (
        "Open the check to see which records it found, and correct them in Gazelle. If they are right there, tell whoever looks after the sync.",
        "Ouvrez le contrôle pour voir quels enregistrements il a trouvés et corrigez-les dans Gazelle. S’ils y sont justes, prévenez la personne responsable de la synchronisation.",
    ),
    "check_failed_well": (
        "The check {about} passes again",
        "Le contrôle {about} réussit de nouveau",
    ),
    "table_stale_subject": (
        "The table {about} is out of date",
        "La table {about} n’est plus à jour",
    ),
    "table_stale_since": (
        "The table {about} has not been brought up to date since {when}.",
        "La table {about} n’a pas été mise à jour depuis le {when}.",
    ),
    "table_stale_advice": (
        "Check that the Dagster daemon runs and that its schedules are on, and why the last runs did not load the table. The command “gazelle-sync sync” loads it now.",
        "Vérifiez que le démon de Dagster fonctionne, que ses planifications sont activées, et pourquoi les dernières exécutions n’ont pas chargé la table. La commande « gazelle-sync sync » la charge dès maintenant.",
    ),
    "table_stale_well": (
        "The table {about} is up to date again",
        "La table {about} est de nouveau à jour",
    ),
    "not_sent_subject": (
        "Alerts do not get through by {about}",
        "Les alertes ne passent plus par {about}",
    ),
    "not_sent_since": (
        "Alerts have not got through by {about} since {when}.",
        "Les alertes ne passent plus par {about} depuis le {when}.",
    ),
    "not_sent_advice": (
        "Check SLACK_WEBHOOK_URL, or SMTP_URL and ALERT_EMAIL_TO. What waits is sent as soon as it works again.",
        "Vérifiez SLACK_WEBHOOK_URL, ou SMTP_URL et ALERT_EMAIL_TO. Ce qui attend sera envoyé dès que cela fonctionnera de nouveau.",
    ),
    "not_sent_well": (
        "Alerts get through by {about} again",
        "Les alertes passent de nouveau par {about}",
    ),
    "state_lost_subject": (
        "The list of alerts could not be read",
        "La liste des alertes n’a pas pu être lue",
    ),
    "state_lost_since": (
        "The list of alerts could not be read on {when}. It is kept as {about}, and a new one was begun.",
        "La liste des alertes n’a pas pu être lue le {when}. Elle est conservée sous le nom {about}, et une nouvelle a été commencée.",
    ),
    "state_lost_advice": (
        "Look into that file for alerts that were still to be sent. What is wrong now may be announced a second time, and what is well again may not be announced.",
        "Cherchez dans ce fichier les alertes qui restaient à envoyer. Ce qui ne va pas en ce moment pourrait être annoncé une seconde fois, et certains retours à la normale pourraient ne pas l’être.",
    ),
    "state_lost_well": (
        "The list of alerts can be read again",
        "La liste des alertes est de nouveau lisible",
    ),
    "record_lost_subject": (
        "The record of a run of {about} can’t be read",
        "Le registre d’une exécution de {about} est illisible",
    ),
    "record_lost_since": (
        "The record of a run of {about} could not be read on {when}, and was skipped.",
        "Le registre d’une exécution de {about} n’a pas pu être lu le {when} et a été ignoré.",
    ),
    "record_lost_advice": (
        "Look at the disk that var/dagster is on. The rows in the database are not concerned; whether that run failed is in gazelle.sync_log.",
        "Vérifiez le disque où se trouve var/dagster. Les lignes de la base de données ne sont pas touchées ; gazelle.sync_log dit si cette exécution a échoué.",
    ),
    "record_lost_well": (
        "The record of a run of {about} can be read again",
        "Le registre d’une exécution de {about} est de nouveau lisible",
    ),
    "interrupted_not_run": (
        "interrupted; not run: {tables}",
        "interrompue ; tables non lues : {tables}",
    ),
    "no_alert_configured": (
        "No alert is configured: SLACK_WEBHOOK_URL, ALERT_EMAIL_TO with SMTP_URL, or HEARTBEAT_URL.",
        "Aucune alerte n’est configurée : SLACK_WEBHOOK_URL, ALERT_EMAIL_TO avec SMTP_URL, ou HEARTBEAT_URL.",
    ),
    "looked": (
        "Looked.",
        "C’est vérifié.",
    ),
    "all_is_sent": (
        "All is sent.",
        "Tout est envoyé.",
    ),
    "no_night_yet": (
        "No nightly run has ended yet.",
        "Aucune exécution de nuit n’est encore terminée.",
    ),
    "page_is_of_last_night": (
        "The page is of the last nightly run, or later.",
        "La page date de la dernière nuit, ou d’après.",
    ),
    "forgot_runs": (
        "Forgot {count} {count:run|runs}.",
        "{count} {count:exécution oubliée|exécutions oubliées}.",
    ),
    "state_set_aside": (
        "{path} could not be understood ({why}) and is now {now}",
        "{path} est incompréhensible ({why}) et s’appelle désormais {now}",
    ),
    "found": (
        "{what}: {value}",
        "{what} : {value}",
    ),
    "found_rows": (
        "rows",
        "lignes",
    ),
    "found_examples": (
        "examples",
        "exemples",
    ),
    "found_last": (
        "last",
        "dernière fois",
    ),
    "found_what_to_do": (
        "what to do",
        "que faire",
    ),
    "broken_not_null": (
        "{count} {count:row has|rows have} nothing in {column}: {ids}",
        "{count} {count:ligne n’a|lignes n’ont} rien dans {column} : {ids}",
    ),
    "broken_not_blank": (
        "{count} {count:row has|rows have} nothing but spaces in {column}: {ids}",
        "{count} {count:ligne n’a|lignes n’ont} que des espaces dans {column} : {ids}",
    ),
    "broken_positive": (
        "{count} {count:row has|rows have} zero or less in {column}: {ids}",
        "{count} {count:ligne a|lignes ont} zéro ou moins dans {column} : {ids}",
    ),
    "broken_local": (
        "In {count} {count:row|rows}, {column} does not agree with {timestamp} in {zone}: {ids}",
        "Dans {count} {count:ligne|lignes}, {column} ne correspond pas à {timestamp} en {zone} : {ids}",
    ),
    "broken_unique": (
        "{count} {count:id is|ids are} in more than one row: {ids}",
        "{count} {count:identifiant est|identifiants sont} dans plus d’une ligne : {ids}",
    ),
    "broken_parents": (
        "{count} {count:row has|rows have} waited for more than a day for a record that {count:it refers|they refer} to: "
        "{ids}",
        "{count} {count:ligne attend|lignes attendent} depuis plus d’un jour un enregistrement auquel {count:elle "
        "renvoie|elles renvoient} : {ids}",
    ),
    "broken_set_aside": (
        "{count} {count:record could not be stored as it|records could not be stored as they} came: {ids}",
        "{count} {count:enregistrement n’a pas pu être enregistré tel quel|enregistrements n’ont pas pu être enregistrés "
        "tels quels} : {ids}",
    ),
    "broken_vanished": (
        "The last load marked {count} {count:row|rows} as deleted, which is more than can be believed: {ids}",
        "Le dernier chargement a marqué {count} {count:ligne|lignes} comme {count:supprimée|supprimées}, ce qui est plus "
        "qu’il n’est vraisemblable : {ids}",
    ),
    "broken_claim": (
        "It does not hold for {count} {count:row|rows}: {ids}",
        "Ce n’est pas vrai de {count} {count:ligne|lignes} : {ids}",
    ),
    "broken_view": (
        "{view} does not agree with the tables it shows: {ids}",
        "{view} ne correspond pas aux tables qu’elle montre : {ids}",
    ),
    "counted_otherwise": (
        "Gazelle counts {counted} {counted:record|records}, and {stored} {stored:is|are} here",
        "Gazelle compte {counted} {counted:enregistrement|enregistrements}, et il y en a {stored} ici",
    ),
    "never_whole": (
        "It was never read whole, with proof that nothing is missing",
        "Elle n’a jamais été lue en entier, avec la preuve que rien ne manque",
    ),
    "remedy_local": (
        "Run `gazelle-sync sync --table {table} --full`, which takes them anew from GAZELLE_TIMEZONE.",
        "Lancez `gazelle-sync sync --table {table} --full`, qui les reprend d’après GAZELLE_TIMEZONE.",
    ),
    "remedy_view": (
        "Run `gazelle-sync migrate`, which makes gazelle.{view} anew where it is an older one. If it stays, report it.",
        "Lancez `gazelle-sync migrate`, qui refait gazelle.{view} si elle est d’une version antérieure. Si cela "
        "persiste, signalez-le.",
    ),
    "remedy_ids_are_unique_and_present": (
        "Gazelle or the database gave two rows the same id. Run `gazelle-sync sync --table {table} --full`; if it stays, report it.",
        "Gazelle ou la base a donné le même identifiant à deux lignes. Lancez `gazelle-sync sync --table {table} --full` ; si cela persiste, signalez-le.",
    ),
    "remedy_every_parent_is_known": (
        "Run `gazelle-sync sync --full`, which reads what these records refer to. If it stays, the key may not read it.",
        "Lancez `gazelle-sync sync --full`, qui lit ce à quoi ces enregistrements renvoient. Si cela persiste, la clé n’a peut-être pas le droit de le lire.",
    ),
    "remedy_no_row_is_set_aside": (
        "Correct these records in Gazelle; the next sync stores them. gazelle.rejected_rows has the column and the reason.",
        "Corrigez ces enregistrements dans Gazelle ; la prochaine synchronisation les enregistre. gazelle.rejected_rows donne la colonne et la raison.",
    ),
    "remedy_few_rows_vanished": (
        "Look in Gazelle whether they are really gone. If so, run `gazelle-sync sync --table {table} --allow-mass-delete` once.",
        "Vérifiez dans Gazelle s’ils ont vraiment disparu. Si oui, lancez une fois `gazelle-sync sync --table {table} --allow-mass-delete`.",
    ),
    "remedy_count_agrees_with_gazelle": (
        "Run `gazelle-sync sync --table {table} --full`. If they still differ, Gazelle counts records that it does not list: report it to them.",
        "Lancez `gazelle-sync sync --table {table} --full`. Si la différence persiste, Gazelle compte des enregistrements qu’il ne montre pas : signalez-le à Gazelle.",
    ),
    "remedy_stale": (
        "Run `gazelle-sync sync --table {table}`, and look why the nightly run did not read it whole.",
        "Lancez `gazelle-sync sync --table {table}`, et cherchez pourquoi l’exécution de nuit ne l’a pas lue en entier.",
    ),
    "remedy_of_data": (
        "Correct these records in Gazelle. If they are right there, the rule in gazelle_sync/tables is wrong.",
        "Corrigez ces enregistrements dans Gazelle. S’ils y sont justes, c’est la règle dans gazelle_sync/tables qui est fausse.",
    ),
    "change_insert": ("new", "nouveau"),
    "change_update": ("changed", "modifié"),
    "change_delete": ("gone", "disparu"),
    "change_restore": ("back", "de retour"),
    "found_why": (
        "why",
        "pourquoi",
    ),
    "found_in_gazelle": (
        "in Gazelle",
        "dans Gazelle",
    ),
    "found_here": (
        "here",
        "ici",
    ),
    "runs_unreadable": (
        "Dagster's records of runs can't be read ({why}): a run that failed after its tables were stored shows as done.",
        "Les registres des exécutions de Dagster sont illisibles ({why}) : une exécution qui a échoué une fois ses "
        "tables enregistrées y paraît terminée.",
    ),
    "record_unreadable_now": (
        "The record of the run {run} can't be read just now ({why}); it is looked at again the next time.",
        "Le registre de l’exécution {run} est illisible pour l’instant ({why}) ; il sera relu la prochaine fois.",
    ),
    "stale_not_known": (
        "Whether tables are out of date could not be looked up: {why}",
        "Impossible de vérifier si des tables ne sont plus à jour : {why}",
    ),
    "memory_begun_anew": (
        "{path}, which remembers what people were told of, could not be understood and is begun anew.",
        "{path}, qui retient ce qui a été annoncé, est incompréhensible et a été recommencé.",
    ),
    "run_not_marked": (
        "{path} can't be written ({why}): if this process dies, nobody will know that a run was under way.",
        "{path} ne peut pas être écrit ({why}) : si ce processus meurt, personne ne saura qu’une exécution était en cours.",
    ),
    "and_not_run": (
        "{why}; not run: {tables}",
        "{why} ; tables non lues : {tables}",
    ),
    "broke_off": (
        "it broke off, and its process is gone",
        "elle s’est arrêtée net : son processus n’existe plus",
    ),
    "hung_since": (
        "started {hours} h ago or more, and has not ended; later runs wait behind it",
        "commencée il y a {hours} h ou plus, elle n’est pas terminée ; les suivantes attendent derrière elle",
    ),
    "dagster_says": (
        "Dagster says: “{text}”",
        "Dagster dit : « {text} »",
    ),
    "record_unreadable": (
        "its record can't be read ({why})",
        "son registre est illisible ({why})",
    ),
    "failed_channel": (
        "{channel}: {waiting} {waiting:alert|alerts} could not be sent and {waiting:is|are} kept for the next time (tried {tries} {tries:time|times}): {why}",
        "{channel} : {waiting} {waiting:alerte n’a pas pu être envoyée et est gardée|alertes n’ont pas pu être envoyées et sont gardées} pour la prochaine fois ({tries} {tries:essai|essais}) : {why}",
    ),
    "no_answer": (
        "{what} gave no answer ({why})",
        "{what} n’a pas répondu ({why})",
    ),
    "answered_with": (
        "{what} answered HTTP {status}",
        "{what} a répondu HTTP {status}",
    ),
    "and_said": (
        ": {answer}",
        " : {answer}",
    ),
    "the_heartbeat": (
        "The heartbeat's address",
        "L’adresse de HEARTBEAT_URL",
    ),
    "the_mail_server": (
        "The mail server {address}",
        "Le serveur de courriel {address}",
    ),
    "mail_not_encrypted": (
        "{server} offers no encryption (STARTTLS)",
        "{server} n’offre pas de chiffrement (STARTTLS)",
    ),
    "mail_unreachable": (
        "{server} could not be reached ({why})",
        "{server} est injoignable ({why})",
    ),
    "mail_not_taken": (
        "{server} did not take the message ({why})",
        "{server} n’a pas accepté le message ({why})",
    ),
    "mail_login_refused": (
        "{server} refused the login ({why})",
        "{server} a refusé la connexion ({why})",
    ),
    "mail_recipients_refused": (
        "{server} refused {count} of {all} {all:recipient|recipients} ({why})",
        "{server} a refusé {count} {count:destinataire|destinataires} sur {all} ({why})",
    ),
    "mail_hung_up": (
        "it hung up, or did not answer in time",
        "il a raccroché, ou n’a pas répondu à temps",
    ),
    "mail_not_trusted": (
        "its certificate is not trusted: {why}",
        "son certificat n’est pas reconnu : {why}",
    ),
    "web_address_not_understood": (
        "{variable} is not an address of the web. Write one that begins with https://, with special characters percent-encoded (%40 for @).",
        "{variable} n’est pas une adresse web. Écrivez-en une qui commence par https://, avec les caractères spéciaux encodés en pourcentage (%40 pour @).",
    ),
    "smtp_url_not_understood": (
        "SMTP_URL is not the address of a mail server. Write it as smtp://user:password@host:587 or smtps://user:password@host:465, with special characters of user and password percent-encoded (%40 for @).",
        "SMTP_URL n’est pas l’adresse d’un serveur de courriel. Écrivez-la sous la forme smtp://user:password@host:587 ou smtps://user:password@host:465, avec les caractères spéciaux du nom et du mot de passe encodés en pourcentage (%40 pour @).",
    ),
    "smtp_url_without_user": (
        "SMTP_URL has a password and no user. Write it as smtp://user:password@host:587.",
        "SMTP_URL a un mot de passe mais pas de nom d’utilisateur. Écrivez-la sous la forme smtp://user:password@host:587.",
    ),
    "smtp_url_with_accents": (
        "SMTP_URL has letters with accents in user, password or host, which can't be sent.",
        "SMTP_URL contient des lettres accentuées dans le nom, le mot de passe ou l’hôte, qui ne peuvent pas être envoyées.",
    ),
    "smtp_url_not_set": (
        "SMTP_URL is not set, though ALERT_EMAIL_TO is. Set it to the server that sends the mail, as smtp://user:password@host:587, or unset ALERT_EMAIL_TO.",
        "SMTP_URL n’est pas définie, alors qu’ALERT_EMAIL_TO l’est. Donnez-lui le serveur qui envoie le courriel, comme smtp://user:password@host:587, ou retirez ALERT_EMAIL_TO.",
    ),
    "alert_email_not_set": (
        "ALERT_EMAIL_TO is not set, though SMTP_URL is. Set it to whom to write (several are separated by commas), or unset SMTP_URL.",
        "ALERT_EMAIL_TO n’est pas définie, alors que SMTP_URL l’est. Indiquez à qui écrire (plusieurs adresses sont séparées par des virgules), ou retirez SMTP_URL.",
    ),
    "alert_email_not_understood": (
        "ALERT_EMAIL_TO is not a list of e-mail addresses. Write one address, or several separated by commas.",
        "ALERT_EMAIL_TO n’est pas une liste d’adresses de courriel. Écrivez une adresse, ou plusieurs séparées par des virgules.",
    ),
    # -- faults around a sync: files, certificates, signals -----------------------------------------------------------
    "records_unusable": (
        "Dagster's records under var/dagster can't be used: {why}. Look at the disk, at their owner, and at whether another program holds them; they may be deleted, which costs the history of runs and no row.",
        "Les registres de Dagster sous var/dagster sont inutilisables : {why}. Vérifiez le disque, leur propriétaire, et si un autre programme les retient ; on peut les supprimer, ce qui coûte l’historique des exécutions et aucune ligne.",
    ),
    "file_unusable": (
        "{path} can't be used: {why}.",
        "{path} est inutilisable : {why}.",
    ),
    "rehearsing": (
        "Writing to the database",
        "L’écriture dans la base de données",
    ),
    "only_readable": (
        "The database may only be read: it is a replica, or Supabase made it so because its disk is nearly full. Make room or give it a larger disk (Settings, Compute and Disk), then run the sync again.",
        "La base de données n’est accessible qu’en lecture : c’est une réplique, ou Supabase l’a ainsi réglée parce que son disque est presque plein. Faites de la place ou donnez-lui un plus grand disque (Settings, Compute and Disk), puis relancez la synchronisation.",
    ),
    "spool_unusable": (
        "Rows wait in {folder} while Gazelle is read, and it can't be used: {why}. Make room there, or let TMPDIR name another folder. Nothing was changed for this table.",
        "Les lignes attendent dans {folder} pendant la lecture de Gazelle, et ce dossier est inutilisable : {why}. Faites-y de la place, ou que TMPDIR désigne un autre dossier. Rien n’a été changé dans cette table.",
    ),
    "log_from_records": (
        "What is told above of the tables that were loaded is Dagster's record of it: sync_log could not be read ({why})",
        "Ce qui est dit plus haut des tables chargées vient des registres de Dagster : sync_log n’a pas pu être lu ({why})",
    ),
    "sample_not_read": (
        "{table} is loaded; no sample of its rows could be read for the UI: {why}",
        "{table} est chargée ; aucun échantillon de ses lignes n’a pu être lu pour l’interface : {why}",
    ),
    "not_verified": (
        "{table} is loaded; its checks could not be made, and count as failed: {why}",
        "{table} est chargée ; ses contrôles n’ont pas pu être faits et comptent comme échoués : {why}",
    ),
    "dagster_home_wrong": (
        "DAGSTER_HOME is not an absolute path of a folder that is there. Unset it, or set it to the project's folder.",
        "DAGSTER_HOME n’est pas le chemin absolu d’un dossier existant. Retirez-la, ou donnez-lui le dossier du projet.",
    ),
    "unexpected": (
        "Something went wrong that is not foreseen ({what}: {why}). var/logs/gazelle-sync.log has the details; please report it with them.",
        "Un problème imprévu est survenu ({what} : {why}). Les détails sont dans var/logs/gazelle-sync.log ; signalez-le en les joignant.",
    ),
    "env_file_unreadable": (
        "{file} can't be read: {why}.",
        "{file} est illisible : {why}.",
    ),
    "not_utf8": (
        "it is not a text in UTF-8; save it anew with that encoding",
        "ce n’est pas un texte en UTF-8 ; enregistrez-le de nouveau avec cet encodage",
    ),
    "not_looked_at": (
        "What there is to tell people of could not be looked up; it is looked up at the next run: {why}",
        "Impossible de vérifier ce qu’il y a à annoncer ; ce sera vérifié à la prochaine exécution : {why}",
    ),
    "gazelle_not_verified": (
        "The certificate of {host} can't be verified: {why}. If a proxy or a virus scanner looks into TLS here, let REQUESTS_CA_BUNDLE name a file with its certificate; if the date is the matter, set this machine's clock. Nothing was changed for this table.",
        "Le certificat de {host} ne peut pas être vérifié : {why}. Si un proxy ou un antivirus inspecte TLS ici, que REQUESTS_CA_BUNDLE désigne un fichier avec son certificat ; si c’est la date, réglez l’horloge de cette machine. Rien n’a été modifié dans cette table.",
    ),
    "certificates_missing": (
        "{variable} names {path}, which is not there. Let it name a file with the certificates to trust, or unset it.",
        "{variable} désigne {path}, qui n’existe pas. Faites-lui désigner un fichier des certificats de confiance, ou ne la définissez pas.",
    ),
    "certificates_unusable": (
        "{variable} names {path}, whose certificates can't be used ({why}). It has to be a readable file of certificates in PEM.",
        "{variable} désigne {path}, dont les certificats sont inutilisables ({why}). Ce doit être un fichier lisible de certificats au format PEM.",
    ),
    "proxy_is_no_address": (
        "{variable} is not the address of a proxy. Write one like http://proxy.example.com:3128, or unset it.",
        "{variable} n’est pas l’adresse d’un proxy. Écrivez-en une comme http://proxy.example.com:3128, ou ne la définissez pas.",
    ),
    "proxy_is_socks": (
        "{variable} names a SOCKS proxy, for which a package is missing: `.venv/bin/pip install pysocks`. Or let it name a proxy of HTTP, or unset it.",
        "{variable} désigne un proxy SOCKS, pour lequel il manque un paquet : `.venv/bin/pip install pysocks`. Ou faites-lui désigner un proxy HTTP, ou ne la définissez pas.",
    ),
    "proxy_refuses": (
        "The proxy that {variable} names does not let us through (HTTP {status}). With 407 it wants a name and a password: http://name:password@host:port.",
        "Le proxy que désigne {variable} ne nous laisse pas passer (HTTP {status}). Avec 407, il veut un nom et un mot de passe : http://nom:motdepasse@hôte:port.",
    ),
    "proxy_speaks_no_tls": (
        "{variable} begins with https://, but that proxy does not speak TLS. Write http:// there: what goes through it is encrypted all the same.",
        "{variable} commence par https://, mais ce proxy ne parle pas TLS. Écrivez-y http:// : ce qui y passe est chiffré quand même.",
    ),
    "lock_is_kept": (
        "another process has kept {path} for {seconds} s: look for a gazelle-sync that hangs, and end it",
        "un autre processus garde {path} depuis {seconds} s : cherchez un gazelle-sync bloqué et arrêtez-le",
    ),
    "errno_enospc": (
        "the disk is full",
        "le disque est plein",
    ),
    "errno_edquot": (
        "the quota of the disk is used up",
        "le quota du disque est épuisé",
    ),
    "errno_eacces": (
        "this user may not do that: look at the owner and the rights",
        "cet utilisateur n’en a pas le droit : vérifiez le propriétaire et les droits",
    ),
    "errno_erofs": (
        "it can only be read: it is mounted read-only",
        "accès en lecture seule : c’est monté ainsi",
    ),
    "errno_enoent": (
        "it is not there",
        "introuvable",
    ),
    "errno_eisdir": (
        "it is a folder",
        "c’est un dossier",
    ),
    "errno_enotdir": (
        "a part of the path is not a folder",
        "une partie du chemin n’est pas un dossier",
    ),
    "errno_eaddrinuse": (
        "something else listens there",
        "un autre programme y écoute déjà",
    ),
    "link_of_another": (
        "{path} is a link that another user made, and is not written through: remove it, or make it your own",
        "{path} est un lien créé par un autre utilisateur, et rien n’est écrit à travers lui : supprimez-le ou créez-le vous-même",
    ),
    # -- the status page -------------------------------------------------------------------------------------------------
    "status_page_names_is_no_switch": (
        "STATUS_PAGE_NAMES={value} is neither on nor off.",
        "STATUS_PAGE_NAMES={value} : il faut on ou off.",
    ),
    "colon": (
        ": ",
        " : ",
    ),
    "page_title": (
        "gazelle-sync: the state of the mirror",
        "gazelle-sync : l’état de la copie",
    ),
    "answer_never": (
        "Nothing was synced yet. Run make sync, or gazelle-sync sync.",
        "Rien n’a encore été synchronisé. Lancez make sync, ou gazelle-sync sync.",
    ),
    "answer_well": (
        "All is well: {changes}; the next sync is due at {next}.",
        "Tout va bien : {changes} ; prochaine synchronisation à {next}.",
    ),
    "answer_warned": (
        "All was read, and {count} {count:thing wants|things want} a look: {names}. Below is what to do.",
        "Tout a été lu, et {count} {count:point mérite|points méritent} un coup d’œil : {names}. Ce qu’il y a à faire est ci-dessous.",
    ),
    "answer_failed": (
        "Not well since {since}: {names} failed. Below is what to do.",
        "Un problème depuis le {since} : échec de {names}. Ce qu’il y a à faire est ci-dessous.",
    ),
    "answer_stale": (
        "Not well: {names} {count:is|are} out of date. Below is what to do.",
        "Un problème : {names} {count:n’est plus|ne sont plus} à jour. Ce qu’il y a à faire est ci-dessous.",
    ),
    "nothing_changed": (
        "nothing changed in the last day",
        "aucun changement depuis un jour",
    ),
    "counted_insert": (
        "{count} new in {table}",
        "{count} {count:nouveau|nouveaux} dans {table}",
    ),
    "counted_update": (
        "{count} changed in {table}",
        "{count} {count:modifié|modifiés} dans {table}",
    ),
    "counted_delete": (
        "{count} gone from {table}",
        "{count} {count:disparu|disparus} de {table}",
    ),
    "counted_restore": (
        "{count} back in {table}",
        "{count} de retour dans {table}",
    ),
    "clock": (
        "{hour:02}:{minute:02}",
        "{hour} h {minute:02}",
    ),
    "what_changed": (
        "What changed in the last day",
        "Ce qui a changé depuis un jour",
    ),
    "changes_shown": (
        "The last {shown} of {count}. gazelle.row_changes has all of them.",
        "Les {shown} derniers sur {count}. Ils sont tous dans gazelle.row_changes.",
    ),
    "names_left_out": (
        "Names, addresses and notes are left out (STATUS_PAGE_NAMES).",
        "Les noms, adresses et notes ne figurent pas ici (STATUS_PAGE_NAMES).",
    ),
    "personal_only": (
        "something personal",
        "une donnée personnelle",
    ),
    "change": (
        "change",
        "changement",
    ),
    "when": (
        "when",
        "quand",
    ),
    "what_is_wrong": (
        "What to do",
        "Que faire",
    ),
    "wrong_since": (
        "since {at}",
        "depuis le {at}",
    ),
    "duration_of_runs": (
        "How long the last runs took",
        "Durée des dernières exécutions",
    ),
    "changes_of_runs": (
        "How many rows the last runs changed",
        "Lignes modifiées par les dernières exécutions",
    ),
    "as_a_table": (
        "The same as a table",
        "Les mêmes chiffres en tableau",
    ),
    "plot_told": (
        "{title}, from {first} to {last}. The greatest: {most}. Failed: {failed}.",
        "{title}, du {first} au {last}. Le maximum : {most}. En échec : {failed}.",
    ),
    # -- dev, the UI and the status page ------------------------------------------------------------------------------
    "var_unusable": (
        "{folder} can't be written ({reason}), and everything that runs here is recorded there.",
        "Impossible d’écrire dans {folder} ({reason}), où s’enregistre tout ce qui tourne ici.",
    ),
    "dev_serves": (
        "The UI is at {url}, the status page at {url}/status. Ctrl-C ends both.",
        "L’interface est à {url}, la page d’état à {url}/status. Ctrl-C arrête les deux.",
    ),
    "dev_ends": (
        "Ending, in order …",
        "Arrêt en cours, dans l’ordre…",
    ),
    "dev_runs_already": (
        "gazelle-sync: it runs already, at {url}, in process {pid}. Nothing was changed.",
        "gazelle-sync tourne déjà, à {url}, dans le processus {pid}. Rien n’a été modifié.",
    ),
    "dev_port_taken": (
        "Port {port} can't be used ({reason}). Port {free} is free: gazelle-sync dev --port {free}",
        "Le port {port} n’est pas utilisable ({reason}). Le port {free} est libre : gazelle-sync dev --port {free}",
    ),
    "dev_cannot_listen": (
        "The UI can't listen on {host}, port {port} ({reason}): give another --host or --port.",
        "L’interface ne peut pas écouter sur {host}, port {port} ({reason}) : indiquez un autre --host ou --port.",
    ),
    "dev_part_ended": (
        "gazelle-sync: {part} ended by itself (code {code}), so everything is ended. Start it again; "
        "--verbose shows what it says.",
        "gazelle-sync : {part} s’est arrêté de lui-même (code {code}), donc tout est arrêté. Relancez la commande ; "
        "--verbose montre ce qu’il dit.",
    ),
    "dev_sandbox": (
        "the sandbox",
        "le bac à sable",
    ),
    "dev_code_server": (
        "Dagster's code server",
        "le serveur de code de Dagster",
    ),
    "dev_daemon": (
        "Dagster's daemon",
        "le démon de Dagster",
    ),
    "dev_webserver": (
        "the webserver",
        "le serveur web",
    ),
    "sandbox_runs_already": (
        "A sandbox serves already, at {url}. Nothing was changed.",
        "Un bac à sable répond déjà à {url}. Rien n’a été modifié.",
    ),
    "sandbox_cannot_listen": (
        "The sandbox can't serve on port {port} ({reason}): give another one.",
        "Le bac à sable ne peut pas écouter sur le port {port} ({reason}) : indiquez-en un autre.",
    ),
    "postgres_did_not_start": (
        "The embedded PostgreSQL in {folder} did not start: {reason}",
        "Le PostgreSQL embarqué de {folder} n’a pas démarré : {reason}",
    ),
    "postgres_account_made": (
        "PostgreSQL refuses to run as root: it runs as {account}, an account that was just made for it.",
        "PostgreSQL refuse de tourner sous root : il tourne sous {account}, un compte qui vient d’être créé pour lui.",
    ),
    "postgres_opened_folders": (
        "PostgreSQL refuses to run as root: it runs as {account}. On the way to its data and its program, everybody may "
        "pass now (and not look into) {folders}. Run this as another user than root, and no folder is touched.",
        "PostgreSQL refuse de tourner sous root : il tourne sous {account}. Pour qu’il atteigne ses données et son "
        "programme, tout le monde peut désormais traverser (sans en voir le contenu) {folders}. Sous un autre "
        "utilisateur que root, aucun dossier n’est modifié.",
    ),
    "ui_foreign_host": (
        "Refused: this UI answers at {urls}. If it is reached by another address, DAGSTER_UI_URL has to name that.",
        "Refusé : cette interface répond à {urls}. Si on l’atteint par une autre adresse, DAGSTER_UI_URL doit "
        "l’indiquer.",
    ),
    "ui_foreign_page": (
        "Refused: a page of another site asks. Only the pages of {url} may.",
        "Refusé : la demande vient d’une page d’un autre site. Seules les pages de {url} y ont droit.",
    ),
    "ui_only_by_post": (
        "Refused: GraphQL is asked by POST only.",
        "Refusé : GraphQL ne s’interroge que par POST.",
    ),
}

LANGUAGES = ("en", "fr")


class Grammar(string.Formatter):
    """Fills in the blanks of a text as its language writes them.

    `{count:record|records}` is the first for one and the second for more, which in French includes none; either may have
    blanks in it. A number with decimals gets the language's comma.
    """

    def __init__(self, language: str) -> None:
        self._french = language == "fr"

    def format_field(self, value: Any, format_spec: str) -> str:
        one, choice, many = format_spec.partition("|")
        if choice:
            return one if value == 1 or (self._french and value == 0) else many
        text = str(super().format_field(value, format_spec))
        return text.replace(".", ",") if self._french and isinstance(value, float) else text


class Speech:
    """The texts of one language, `en` or `fr`: `say("fetched")`, `say("added", what="table pianos")`."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._at = LANGUAGES.index(language)
        self._grammar = Grammar(language)

    def duration(self, seconds: float) -> str:
        """As people say it, in units that both languages have: 2.4 s (in French 2,4 s), 48 s, 3 min 12 s, 1 h 05 min."""
        if seconds < 10:
            return self._grammar.format("{:.1f} s", seconds)
        minutes, rest = divmod(round(seconds), 60)
        if minutes < 60:
            return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
        return f"{minutes // 60} h {minutes % 60:02} min"

    def number(self, value: float, digits: int) -> str:
        """With so many decimals: 0.1, in French 0,1."""
        return self._grammar.format("{:.{}f}", value, digits)

    def pattern(self, name: str) -> str:
        """A text whose blanks somebody else fills in."""
        return TEXTS[name][self._at]

    def __call__(self, name: str, /, **values: object) -> str:
        return self._grammar.vformat(TEXTS[name][self._at], (), values)


_spoken = Speech("en")


def speak(language: str) -> None:
    """Sets the language of this process: of its errors, and of what it writes for people."""
    global _spoken  # noqa: PLW0603  a process has one reader
    _spoken = Speech(language)


def say(name: str, /, **values: object) -> str:
    """A text in the language of this process, which is English until `speak` was called."""
    return _spoken(name, **values)
