"""The account's pianos, with what was measured of each and its photos."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from gazelle_sync.sandbox import texts
from gazelle_sync.sandbox.account.kinds import Record
from gazelle_sync.sandbox.account.maker import Maker


def add_piano(maker: Maker, client_id: str, **more: Any) -> Record:
    make, models = maker.rng.choice(texts.MAKES)
    interval = maker.rng.choice([None, 6, 12, 12])
    last = maker.day(900) if maker.chance(0.8) else None
    dampp_chaser, player = maker.chance(0.25), maker.chance(0.03)
    grand = maker.chance(0.4)
    due = str(maker.today + timedelta(days=maker.rng.randrange(400)))
    piano = maker.put(
        "pianos",
        {
            "clientId": client_id,
            "make": make,
            "model": maker.rng.choice([None, "", *models]),
            # 13 % have none in a real account.
            "serialNumber": None if maker.chance(0.13) else str(maker.rng.randrange(10_000, 7_000_000)),
            "type": "GRAND" if grand else maker.rng.choice(["UPRIGHT", "UPRIGHT", "SPINET", "STUDIO", "UNKNOWN"]),
            "year": maker.rng.choice([None, maker.rng.randrange(1885, maker.today.year)]),
            "size": maker.rng.choice([None, "6'11\"", "173 cm"]) if grand else None,
            "location": maker.rng.choice([None, *texts.ROOMS]),
            "notes": maker.rng.choice([None, *texts.REMARKS]),
            "status": maker.rng.choice(["ACTIVE"] * 12 + ["INACTIVE", "UNDER_RESTORATION"]),
            "tags": maker.rng.sample(texts.TAGS, maker.rng.choice([0, 0, 0, 1])),
            "caseColor": maker.rng.choice([None, "ébène", "walnut", "blanc"]),
            "caseFinish": maker.rng.choice([None, "satin", "poli"]),
            "hasIvory": maker.chance(0.05),
            "rental": maker.chance(0.05),
            "rentalContractEndsOn": str(maker.today + timedelta(days=200)) if maker.chance(0.04) else None,
            "consignment": False,
            "needsRepairOrRebuilding": maker.chance(0.1),
            "totalLoss": False,
            "useType": maker.rng.choice([None, "home", "concert", "teaching"]),
            "serviceIntervalMonths": interval,
            "calculatedLastService": last,
            "calculatedNextService": due if interval else None,
            "eventLastService": last,
            "manualLastService": maker.day(3000) if maker.chance(0.1) else None,
            "nextServiceOverride": None,
            "playerInstalled": player,
            "playerMake": "PianoDisc" if player else None,
            "damppChaserInstalled": dampp_chaser,
            "damppChaserHumidistatModel": "H-2" if dampp_chaser else None,
            "damppChaserMfgDate": maker.day(4000) if dampp_chaser else None,
            "potentialPerformanceLevel": maker.rng.choice([None, 70, 85, 100]),
            "lifecycleState": None,
            "referenceId": None,
            "allPianoMeasurements": [],
            **maker.stamps(),
            **more,
        },
    )
    piano["allPianoMeasurements"] = [
        {
            "id": maker.id("pme_"),
            "pianoId": piano["id"],
            "takenOn": maker.day(1500),
            "temperature": maker.rng.randrange(17, 26),
            "humidity": maker.rng.randrange(20, 65),
            "a4Pitch": maker.rng.randrange(43_600, 44_300),
            **maker.stamps(),
        }
        for _ in range(maker.rng.choice([0, 0, 1, 3]))
    ]
    maker.pianos_of.setdefault(client_id, []).append(piano["id"])
    return piano


_OCTAVES = range(8)


def add_overdue(maker: Maker) -> None:
    """A quarter of the active pianos have been due for up to half a year; for the first of them nothing is booked."""
    account, today = maker.account, str(maker.today)
    booked = {
        link["pianoId"]
        for event in account.events.values()
        if event["status"] == "ACTIVE" and event["start"][:10] >= today
        for link in event["pianos"]
    }
    active = [
        piano
        for piano in account.pianos.values()
        if piano["status"] == account.clients[piano["clientId"]]["status"] == "ACTIVE"
    ]
    for piano in sorted(active, key=lambda piano: piano["id"] in booked)[::4]:
        interval = piano["serviceIntervalMonths"] or 12
        piano.update(serviceIntervalMonths=interval, calculatedNextService=maker.day(180))


def add_measurements_and_photos(maker: Maker) -> None:
    """The rest of what was measured, with gaps as a technician leaves them, and photos of a fifth of the pianos."""
    for piano in maker.account.pianos.values():
        for measurement in piano["allPianoMeasurements"]:
            _measure(maker, measurement)
        if maker.chance(0.2):
            piano["allPianoPhotos"] = [_photo(maker, piano["id"]) for _ in range(maker.rng.choice([1, 1, 2, 3]))]


def add_more_measurements(maker: Maker, *, measurements: int) -> None:
    """As many measurements in all, each of any piano."""
    pianos = list(maker.account.pianos.values())
    for _ in range(measurements - sum(len(piano["allPianoMeasurements"]) for piano in pianos)):
        _add_measurement(maker, maker.rng.choice(pianos))


def _add_measurement(maker: Maker, piano: Record) -> None:
    measurement = {
        "id": maker.id("pme_"),
        "pianoId": piano["id"],
        "takenOn": maker.day(3000),
        "temperature": maker.rng.randrange(17, 26),
        "humidity": maker.rng.randrange(20, 65),
        **maker.stamps(),
    }
    _measure(maker, measurement)
    piano["allPianoMeasurements"].append(measurement)


def _measure(maker: Maker, measurement: Record) -> None:
    thorough = maker.chance(0.3)
    for octave in _OCTAVES:
        measurement.setdefault(f"a{octave}Pitch", maker.rng.randrange(-40, 15) if thorough else None)
        measurement[f"a{octave}Dip"] = maker.rng.randrange(-300, 1100) if thorough and maker.chance(0.7) else None
    for note in ("d6", "g6", "c7"):
        for manner in ("Played", "Plucked"):
            measurement[f"{note}Sustain{manner}"] = maker.rng.randrange(900, 6000) if thorough else None


def _photo(maker: Maker, piano_id: str) -> Record:
    name = maker.id("")
    address = f"https://photos.example/{name}"
    width, height = maker.rng.choice([(4032, 3024), (1080, 1920)])
    size = maker.rng.randrange(200_000, 9_000_000)
    dimensions = {"width": width, "height": height}
    taken = maker.moment(maker.opened, maker.now)
    original = {"url": f"{address}.jpg?signature={name * 4}", "mimeType": "image/jpeg", "size": size}
    thumbnail = {"url": f"{address}_small.jpg", "mimeType": "image/jpeg", "size": size // 50}
    return {
        "id": f"pho_{name}",
        "pianoId": piano_id,
        "notes": maker.rng.choice([None, *texts.REMARKS]),
        "takenAt": maker.iso(taken) if maker.chance(0.8) else None,
        "createdAt": maker.iso(taken),
        "isUsedByEstimates": False,
        "original": {**original, "dimensions": dimensions},
        "thumbnail": {**thumbnail, "dimensions": dimensions} if maker.chance(0.9) else None,
    }


def add_odd_measurements(maker: Maker) -> None:
    """A piano measured thirty times, twice of it on one day, once with nothing, once in an ice-cold hall."""
    piano = next(each for each in maker.account.pianos.values() if each["allPianoMeasurements"])
    for _ in range(30 - len(piano["allPianoMeasurements"])):
        _add_measurement(maker, piano)
    first, second = piano["allPianoMeasurements"][:2]
    second["takenOn"] = first["takenOn"]
    nothing, cold, undated = piano["allPianoMeasurements"][-3:]
    nothing.update({name: None for name in nothing if name not in ("id", "pianoId", "takenOn")})
    cold.update(temperature=-12, humidity=0)
    undated.update(takenOn=None)
    photographed = list(maker.account.pianos.values())[-1]
    photographed["allPianoPhotos"] = [_photo(maker, photographed["id"]) for _ in range(12)]
    photographed["allPianoPhotos"][0].update(original=None, thumbnail=None)
    photographed["allPianoPhotos"][1]["original"].update(size=None, mimeType=None, dimensions=None)
