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
        "Gazelle could not answer {what} in {attempts} attempts; the last one: {why}. Nothing was changed for this table. Run the sync again when Gazelle is well.",
        "Gazelle n’a pas pu répondre à {what} en {attempts} tentatives ; la dernière : {why}. Rien n’a été changé dans cette table. Relancez la synchronisation quand Gazelle ira mieux.",
    ),
    "budget_spent": (
        "Gazelle could not answer {what} in {attempts} attempts; the last one: {why}. The next one may follow in {wait}, but a run may wait for {budget} in all (GAZELLE_PATIENCE), of which {left} are left. Nothing was changed for this table. Run the sync again later, or raise GAZELLE_PATIENCE.",
        "Gazelle n’a pas pu répondre à {what} en {attempts} tentatives ; la dernière : {why}. La suivante est permise dans {wait}, mais une exécution ne peut attendre que {budget} en tout (GAZELLE_PATIENCE), dont il reste {left}. Rien n’a été changé dans cette table. Relancez la synchronisation plus tard, ou augmentez GAZELLE_PATIENCE.",
    ),
    "tried_again": (
        "{what}: {why}; attempt {attempt} follows in {wait:.1f} s",
        "{what} : {why} ; tentative {attempt} dans {wait:.1f} s",
    ),
    "no_answer": (
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
    # -- reading from Gazelle: lists, rows, proofs --------------------------------------------------------------------
    # -- first contact: what the API lacks, page sizes, preflight -----------------------------------------------------
    "field_refused": (
        "Gazelle refuses the field {field} since {since}, so these columns keep what they have: {columns}. If it was renamed, change its path in gazelle_sync/tables; until then, the rest is read without it",
        "Gazelle refuse le champ {field} depuis le {since} : ces colonnes gardent ce qu’elles ont : {columns}. S’il a été renommé, changez son chemin dans gazelle_sync/tables ; d’ici là, le reste est lu sans lui",
    ),
    "argument_refused": (
        "Gazelle refuses the argument {field} since {since}: the list is read in the order in which it comes",
        "Gazelle refuse l’argument {field} depuis le {since} : la liste est lue dans l’ordre où elle vient",
    ),
    # -- the database: connection, migrations, preflight --------------------------------------------------------------
    # -- the database: loads and their warnings -----------------------------------------------------------------------
    # -- the account, what was covered, and when ----------------------------------------------------------------------
    # -- alerts -------------------------------------------------------------------------------------------------------
    # -- faults around a sync: files, certificates, signals -----------------------------------------------------------
    "certificate_not_verified": (
        "The certificate of {host} can't be verified: {why}. If a proxy or a virus scanner looks into TLS here, let REQUESTS_CA_BUNDLE name a file with its certificate; if the date is the matter, set this machine's clock. Nothing was changed for this table.",
        "Le certificat de {host} ne peut pas être vérifié : {why}. Si un proxy ou un antivirus inspecte TLS ici, que REQUESTS_CA_BUNDLE désigne un fichier avec son certificat ; si c’est la date, réglez l’horloge de cette machine. Rien n’a été changé dans cette table.",
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
    # -- dev, the UI and the status page ------------------------------------------------------------------------------
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
