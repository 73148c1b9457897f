"""Every text that a person reads, in English and in French, one beside the other.

To change a text, change it here. To add one, add a line with both languages; `{names}` are filled in by whoever says
it. French keeps a no-break space where its typography wants one: before : ; ! ? and inside « ».
Keep out: when something is said.
"""

from __future__ import annotations

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
    "seconds": (
        "seconds",
        "secondes",
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
        "non exécutée",
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
    "last": (
        "last run",
        "dernière exécution",
    ),
    "gone": (
        "{table}: {deleted} deleted, {restored} restored",
        "{table} : {deleted} supprimés, {restored} rétablis",
    ),
    "done": (
        "Done.",
        "Terminé.",
    ),
    "not_due": (
        "Every table was read since it was last 02:00: nothing to do.",
        "Chaque table a été lue depuis 2 h : il n’y a rien à faire.",
    ),
    "done_with_warnings": (
        "Done, with warnings.",
        "Terminé, avec des avertissements.",
    ),
    "failed": (
        "Failed. Tables that failed or were not run are as they were before.",
        "Échec. Les tables en échec ou non exécutées sont restées comme avant.",
    ),
    "read_so_far": (
        "{table}: {seen} of {expected} read",
        "{table} : {seen} lus sur {expected}",
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
        "on, for all {count} tables",
        "active, pour les {count} tables",
    ),
    "no_tables_yet": (
        "there are no tables yet; the next sync makes them with it on",
        "il n’y a pas encore de tables ; la prochaine synchronisation les crée protégées",
    ),
    "nobody_else": (
        "nobody whom no policy names",
        "personne qu’une politique ne nomme pas",
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
    "rows_per_table": (
        "Rows per table",
        "Lignes par table",
    ),
    "recent_runs": (
        "The last {count} runs",
        "Les {count} dernières exécutions",
    ),
    "open_rejects": (
        "Records that could not be stored as they came: {count}",
        "Enregistrements qui n’ont pas pu être rangés tels quels : {count}",
    ),
    "run_told": (
        "{at}: {status}, {seconds} s, {fetched} fetched, {changed} changed",
        "{at} : {status}, {seconds} s, {fetched} lus, {changed} changés",
    ),
    "page_written": (
        "written: {file}",
        "écrit : {file}",
    ),
    "not_sent": (
        "An alert could not be sent; it is kept for the next run: {why}",
        "Une alerte n’a pas pu être envoyée ; elle est gardée pour la prochaine fois : {why}",
    ),
    # -- settings -----------------------------------------------------------------------------------------------------
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
        "Le jeton OAuth n’a pas de jeton de renouvellement : quand il expirera, les synchronisations échoueront "
        "jusqu’à ce que quelqu’un se reconnecte. Lancez `gazelle-sync login` ; si cela ne change rien, utilisez "
        "GAZELLE_API_KEY.",
    ),
    "records_through_pooler": (
        "DAGSTER_POSTGRES_URL goes through a {mode} pooler, which refuses what Dagster needs. Give it a direct "
        "connection, or leave it unset: SQLite under var/ is the default.",
        "DAGSTER_POSTGRES_URL passe par un pooler en mode {mode}, qui refuse ce dont Dagster a besoin. Donnez-lui une "
        "connexion directe, ou ne la définissez pas : SQLite sous var/ est le choix par défaut.",
    ),
    # -- reading from Gazelle: transport, client, OAuth ---------------------------------------------------------------
    # -- reading from Gazelle: lists, rows, proofs --------------------------------------------------------------------
    # -- first contact: what the API lacks, page sizes, preflight -----------------------------------------------------
    # -- the database: connection, migrations, preflight --------------------------------------------------------------
    # -- the database: loads and their warnings -----------------------------------------------------------------------
    # -- the account, what was covered, and when ----------------------------------------------------------------------
    # -- alerts -------------------------------------------------------------------------------------------------------
    # -- faults around a sync: files, certificates, signals -----------------------------------------------------------
    # -- dev, the UI and the status page ------------------------------------------------------------------------------
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
        "gazelle-sync : déjà en marche, à {url}, dans le processus {pid}. Rien n’a été modifié.",
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


class Speech:
    """The texts of one language, `en` or `fr`: `say("fetched")`, `say("added", what="table pianos")`."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._at = LANGUAGES.index(language)

    def __call__(self, name: str, **values: object) -> str:
        return TEXTS[name][self._at].format(**values)


_spoken = Speech("en")


def speak(language: str) -> None:
    """Sets the language of this process: of its errors, and of what it writes for people."""
    global _spoken  # noqa: PLW0603  a process has one reader
    _spoken = Speech(language)


def say(name: str, **values: object) -> str:
    """A text in the language of this process, which is English until `speak` was called."""
    return _spoken(name, **values)
