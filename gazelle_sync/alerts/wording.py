"""What is said, in English and French: what, since when, why, what to do, where to look.

French keeps a no-break space where its typography wants one: before a colon, within « », between a number and
its unit. Keep out: whom it is said to, and how.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from gazelle_sync.alerts.incident import Incident, Kind

NBSP = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True)
class Sentences:
    """Of one kind of incident. All but `advice` name `{about}`; `since` also `{when}`."""

    subject: str
    since: str
    advice: str
    well: str


@dataclass(frozen=True)
class Language:
    quoted: str
    time: str
    months: str
    why: str
    advice: str
    link: str
    lasted: str
    nothing_to_do: str
    days: tuple[str, str]
    hours: tuple[str, str]
    minutes: tuple[str, str]
    less_than_a_minute: str
    and_: str
    sentences: dict[Kind, Sentences]


ENGLISH = Language(
    quoted="“{}”",
    time="{day} {month} {year} at {hour:02}:{minute:02} ({zone}, {offset})",
    months="January February March April May June July August September October November December",
    why="Why: {}",
    advice="What to do: {}",
    link="Where to look: {}",
    lasted="That lasted {duration}, since {when}.",
    nothing_to_do="There is nothing left to do.",
    days=("{} day", "{} days"),
    hours=("{} hour", "{} hours"),
    minutes=("{} minute", "{} minutes"),
    less_than_a_minute="less than a minute",
    and_=" and ",
    sentences={
        Kind.RUN_FAILED: Sentences(
            "The run of {about} failed",
            "The run of {about} failed on {when}.",
            "Open the run and read its first error. If the cause has passed, there is nothing to repair: the next "
            "scheduled run also covers what was missed. If not, remove the cause and run the same again.",
            "The run of {about} succeeds again",
        ),
        Kind.RUN_HUNG: Sentences(
            "The run of {about} gives no sign of life",
            "The run of {about} has given no sign of life since {when}.",
            "Check that the machine and the Dagster daemon are up. Terminate the run in Dagster if it is still shown "
            "as running, then run the same again.",
            "The run of {about} hangs no longer",
        ),
        Kind.BACKFILL_FAILED: Sentences(
            "The backfill of {about} failed",
            "The backfill of {about} failed on {when}.",
            "Open the backfill to see which months are missing, remove the cause, and start it again for these.",
            "The backfill of {about} succeeds again",
        ),
        Kind.CHECK_FAILED: Sentences(
            "The check {about} fails",
            "The check {about} has been failing since {when}.",
            "Open the check to see which records it found, and correct them in Gazelle. If they are right there, "
            "tell whoever looks after the sync.",
            "The check {about} passes again",
        ),
        Kind.TABLE_STALE: Sentences(
            "The table {about} is out of date",
            "The table {about} has not been brought up to date since {when}.",
            "Check that the Dagster daemon runs and that its schedules are on, and why the last runs did not load "
            "the table. The command “gazelle-sync sync” loads it now.",
            "The table {about} is up to date again",
        ),
        Kind.NOT_SENT: Sentences(
            "Alerts do not get through by {about}",
            "Alerts have not got through by {about} since {when}.",
            "Check SLACK_WEBHOOK_URL, or SMTP_URL and ALERT_EMAIL_TO. What waits is sent as soon as it works again.",
            "Alerts get through by {about} again",
        ),
        Kind.STATE_LOST: Sentences(
            "The list of alerts could not be read",
            "The list of alerts could not be read on {when}. It is kept as {about}, and a new one was begun.",
            "Look into that file for alerts that were still to be sent. What is wrong now may be announced a second "
            "time, and what is well again may not be announced.",
            "The list of alerts can be read again",
        ),
    },
)

FRENCH = Language(
    quoted=f"«{NBSP}{{}}{NBSP}»",
    time=f"{{day}}{NBSP}{{month}} {{year}} à {{hour}}{NBSP}h{NBSP}{{minute:02}} ({{zone}}, {{offset}})",
    months="janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    why=f"Pourquoi{NBSP}: {{}}",
    advice=f"Que faire{NBSP}: {{}}",
    link=f"Où regarder{NBSP}: {{}}",
    lasted="Cela a duré {duration}, depuis le {when}.",
    nothing_to_do="Il n’y a plus rien à faire.",
    days=(f"{{}}{NBSP}jour", f"{{}}{NBSP}jours"),
    hours=(f"{{}}{NBSP}heure", f"{{}}{NBSP}heures"),
    minutes=(f"{{}}{NBSP}minute", f"{{}}{NBSP}minutes"),
    less_than_a_minute="moins d’une minute",
    and_=" et ",
    sentences={
        Kind.RUN_FAILED: Sentences(
            "L’exécution de {about} a échoué",
            "L’exécution de {about} a échoué le {when}.",
            f"Ouvrez l’exécution et lisez sa première erreur. Si la cause a disparu, il n’y a rien à réparer{NBSP}: la "
            "prochaine exécution prévue reprend aussi ce qui a manqué. Sinon, éliminez la cause et relancez la même "
            "exécution.",
            "L’exécution de {about} réussit de nouveau",
        ),
        Kind.RUN_HUNG: Sentences(
            "L’exécution de {about} ne donne plus signe de vie",
            "L’exécution de {about} ne donne plus signe de vie depuis le {when}.",
            "Vérifiez que la machine et le démon de Dagster fonctionnent. Arrêtez l’exécution dans Dagster si elle y "
            "figure encore comme étant en cours, puis relancez-la.",
            "L’exécution de {about} n’est plus bloquée",
        ),
        Kind.BACKFILL_FAILED: Sentences(
            "Le rattrapage de {about} a échoué",
            "Le rattrapage (backfill) de {about} a échoué le {when}.",
            "Ouvrez le rattrapage pour voir quels mois manquent, éliminez la cause et relancez-le pour ces mois.",
            "Le rattrapage de {about} réussit de nouveau",
        ),
        Kind.CHECK_FAILED: Sentences(
            "Le contrôle {about} échoue",
            "Le contrôle {about} échoue depuis le {when}.",
            "Ouvrez le contrôle pour voir quelles fiches il a trouvées et corrigez-les dans Gazelle. Si elles y sont "
            "justes, prévenez la personne responsable de la synchronisation.",
            "Le contrôle {about} réussit de nouveau",
        ),
        Kind.TABLE_STALE: Sentences(
            "La table {about} n’est plus à jour",
            "La table {about} n’a pas été mise à jour depuis le {when}.",
            "Vérifiez que le démon de Dagster fonctionne, que ses planifications sont activées, et pourquoi les "
            f"dernières exécutions n’ont pas chargé la table. La commande «{NBSP}gazelle-sync sync{NBSP}» la charge "
            "dès maintenant.",
            "La table {about} est de nouveau à jour",
        ),
        Kind.NOT_SENT: Sentences(
            "Les alertes ne passent plus par {about}",
            "Les alertes ne passent plus par {about} depuis le {when}.",
            "Vérifiez SLACK_WEBHOOK_URL, ou SMTP_URL et ALERT_EMAIL_TO. Ce qui attend sera envoyé dès que cela "
            "fonctionnera de nouveau.",
            "Les alertes passent de nouveau par {about}",
        ),
        Kind.STATE_LOST: Sentences(
            "La liste des alertes n’a pas pu être lue",
            "La liste des alertes n’a pas pu être lue le {when}. Elle est conservée sous le nom {about}, et une "
            "nouvelle a été commencée.",
            "Cherchez dans ce fichier les alertes qui restaient à envoyer. Ce qui ne va pas en ce moment pourrait être "
            "annoncé une seconde fois, et certains retours à la normale pourraient ne pas l’être.",
            "La liste des alertes est de nouveau lisible",
        ),
    },
)

LANGUAGES = {"en": ENGLISH, "fr": FRENCH}


@dataclass(frozen=True)
class Wording:
    """Words for one reader: in a language (`en` or `fr`; else `ValueError`), with times of a zone.

    Of an incident's own texts nothing is hidden or cut here: that was done when it was raised.
    """

    language: str
    zone: tzinfo

    def __post_init__(self) -> None:
        if self.language not in LANGUAGES:
            raise ValueError(f"There are no messages in {self.language!r}: the languages are {', '.join(LANGUAGES)}.")

    def raised(self, incident: Incident) -> tuple[str, str]:
        """Subject and body of the news that something is wrong."""
        words, sentences, about = self._of(incident)
        lines = [
            sentences.since.format(about=about, when=self._when(incident.since)),
            words.why.format(incident.why) if incident.why else "",
            words.advice.format(sentences.advice),
            words.link.format(incident.link) if incident.link else "",
        ]
        return sentences.subject.format(about=about), "\n".join(line for line in lines if line)

    def well(self, incident: Incident, at: datetime) -> tuple[str, str]:
        """Subject and body of the news that it is well again."""
        words, sentences, about = self._of(incident)
        subject = sentences.well.format(about=about)
        lasted = words.lasted.format(duration=duration(at - incident.since, words), when=self._when(incident.since))
        return subject, f"{subject}. {lasted} {words.nothing_to_do}"

    def _of(self, incident: Incident) -> tuple[Language, Sentences, str]:
        words = LANGUAGES[self.language]
        return words, words.sentences[incident.kind], words.quoted.format(incident.about)

    def _when(self, moment: datetime) -> str:
        words = LANGUAGES[self.language]
        local = moment.astimezone(self.zone)
        first = "1er" if words is FRENCH and local.day == 1 else str(local.day)
        return words.time.format(
            day=first,
            month=words.months.split()[local.month - 1],
            year=local.year,
            hour=local.hour,
            minute=local.minute,
            zone=self.zone,
            # The name of a zone leaves the hour that a clock change repeats in doubt.
            offset=offset(local.utcoffset() or timedelta()),
        )


def offset(from_utc: timedelta) -> str:
    minutes = round(abs(from_utc).total_seconds() / 60)
    if not minutes:
        return "UTC"
    sign = "+" if from_utc > timedelta() else "−"
    return f"UTC{sign}{minutes // 60}" + (f":{minutes % 60:02}" if minutes % 60 else "")


def duration(length: timedelta, words: Language) -> str:
    """In its two largest units at most, rounded down: after days nobody asks for minutes."""
    minutes = int(length.total_seconds() // 60)
    if minutes < 1:
        return words.less_than_a_minute
    days, hours = minutes // 1440, minutes // 60 % 24
    parts = (
        [(days, words.days), (hours, words.hours)] if days else [(hours, words.hours), (minutes % 60, words.minutes)]
    )
    return words.and_.join(forms[count != 1].format(count) for count, forms in parts if count)
