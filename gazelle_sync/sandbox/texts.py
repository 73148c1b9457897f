"""The words of the sandbox's account: names, places, makes of piano, and the awkward things that people type.

Lists only. Which record gets which text is decided in `account.py`. Every text here is valid: no NUL, no lone
surrogate; a database that takes UTF-8 must take them all, unchanged.
"""

FIRST_NAMES = [
    "Amélie", "Benoît", "Chloé", "Denis", "Élodie", "François", "Geneviève", "Hugo", "Isabelle",
    "Jean-Philippe", "Karine", "Loïc", "Maëlle", "Noémie", "Olivier", "Pénélope", "Rémi",
    "Sébastien", "Thérèse", "Yannick", "Alice", "Brandon", "Charlotte", "Duncan", "Emily", "Fiona",
    "George", "Hannah", "Ian", "Jennifer", "Kevin", "Liam", "Margaret", "Nathan", "Olivia",
    "Patrick", "Rachel", "Siobhán", "Tyler", "Wendy",
]  # fmt: skip
LAST_NAMES = [
    "Bélanger", "Côté", "D'Amours", "Gagné", "Lévesque", "L'Écuyer", "Tremblay", "Saint-Onge", "St. Pierre",
    "Thériault", "Charest-Roy", "de la Durantaye", "Nguyễn", "O'Brien", "MacLeod", "Smith", "Taylor", "Wright",
    "Van der Berg", "Null", "Test", "Żółć", "Müller", "Fitzgerald", "Campbell", "Leblanc", "Ouellet", "Hébert",
]  # fmt: skip
STREETS = [
    "rue Saint-Denis", "avenue du Mont-Royal Est", "boulevard René-Lévesque O.", "chemin de la Côte-Sainte-Catherine",
    "Sherbrooke Street West", "Main Road", "rang 3", "rue de l'Église", "Queen Mary Road", "place d'Youville",
]  # fmt: skip
CITIES = [
    ("Montréal", "QC", "H2J 1Y8"), ("Québec", "QC", "G1R 4S9"), ("Trois-Rivières", "QC", "G9A 5H7"),
    ("Sherbrooke", "QC", "J1H 1Z1"), ("L'Ancienne-Lorette", "QC", "G2E 3M3"), ("Westmount", "QC", "H3Z 2A7"),
    ("Ottawa", "ON", "K1N 5M4"), ("Cornwall", "ON", "K6J 3P5"), ("Plattsburgh", "NY", "12901"),
]  # fmt: skip
COMPANIES = [
    "Église Saint-Viateur", "Théâtre du Rideau Vert", "Centre culturel de Beloeil", "Westmount Baptist Church",
    "École de musique Vincent-d'Indy", "Hôtel \"Le Germain\"", "Smith & Sons, Ltd.", "Résidence l'Âge d'or",
]  # fmt: skip
INSTITUTION = "Conservatoire de musique de la Rive-Sud"
DEPARTMENTS = ["Claviers", "Cordes", "Direction", "Technique", "Accueil", "Jazz & pop", "Studio B-114"]

MAKES = [
    ("Yamaha", ["U1", "C3X", "G2", "P22"]), ("Steinway & Sons", ["B", "D", "M", "1098"]),
    ("Heintzman", ["D", "Nordheimer"]), ("Willis & Co.", ["Knabe"]), ("Kawai", ["K-300", "GX-2"]),
    ("Bösendorfer", ["200", "Imperial"]), ("Lesage", ["Classic"]),
]  # fmt: skip
ROOMS = ["Salon", "Sous-sol", "Living room", "Salle 204", "Grande salle", "Studio B", "Church hall", "2e étage"]

SERVICES = [
    "Accord A440", "Accord + nettoyage", "Pitch raise +25 cents", "Regulation", "Réglage de la mécanique",
    "Humidity system check (Dampp-Chaser)", "Remplacement de 3 cordes", "Tuning for concert", "Voicing",
]  # fmt: skip
REMARKS = [
    "RAS", "Hygrométrie 38 %, 21 °C", "Client asked for a call in the spring.", "Porte du côté, sonner 2 fois",
    "Cheville lâche en F#6", "Chien gentil", "Paid by e-transfer", "À revoir à l'automne", "Dog bites!",
    "2 cordes rouillées", "", "Voir la note précédente.",
]  # fmt: skip

# Each is here because some program, somewhere, has broken on it.
AWKWARD = [
    "Accordé 🎹 — client ravi 😀👍🏽 (famille 👨‍👩‍👧‍👦, 🇨🇦)",
    "col1\tcol2\t\tcol4",
    "première ligne\r\ndeuxième ligne\r\n\r\nquatrième",
    'He said "tune it", she said ‘no’; l\'aigu, «ok»',
    "C:\\pianos\\notes\\new\\table",
    "\\N",
    "\\.",
    "\\",
    "a\\",
    '"',
    "'",
    "NULL",
    "null",
    "None",
    "NaN",
    "",
    " ",
    "   leading and trailing   ",
    "\ttab first, newline last\n",
    "select * from user where \"order\" = 'group'; -- drop table clients",
    "Robert'); DROP TABLE clients;--",
    "{braces, and \"quotes\"}, [brackets], $1, :name, %s, %(x)s, ${y}",
    '{"json": [1, null, "\\u0000"]}',
    "<p>Bonjour&nbsp;<b>madame</b><br/>&amp; à bientôt</p><script>alert(1)</script>",
    "=HYPERLINK(\"http://example.org\"),+1-2",
    "שלום, הפסנתר כוון",
    "مرحبا، تم ضبط البيانو \u202bRTL\u202c",
    "e\u0301te\u0301, n\u0303, Z\u0335\u0321\u0328a\u0334l\u0316g\u031bo",
    "ピアノ調律、漢字 \U00020000",
    "zero\u200bwidth\u200djoin\ufeffbom",
    "line\u2028separator\u2029paragraph\u0085nel",
    "bell\x07escape\x1b[31mred\x1b[0m",
    "00123",
    "1e400",
    "true",
    "2024-02-30",
    "Très longue note: " + "le piano a été accordé, réglé et nettoyé. " * 2400,  # over 100 kB in UTF-8
]  # fmt: skip
AWKWARD_TAGS = [
    ["a,b", "c"], ['say "hi"'], ["{curly}", "}{"], ["back\\slash", "\\N", "\\"], ["NULL", "null"], ["", " "],
    ["école", "🎹"], ["it's", "tab\there", "line\nbreak"], [" leading", "trailing "], ["VIP", "VIP"], ["שלום", "[x]"],
]  # fmt: skip
TAGS = ["VIP", "école", "church", "rental", "concert", "discount", "à rappeler"]
