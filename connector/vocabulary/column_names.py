"""Which names out of a file a message may show: those that are like a column's name.

Where a header row is missing, the first person stands in its place. A name, a mail address or a phone number must then
not become the name of a column in a message.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence
from typing import Final

LONGEST: Final = 60

NO_HEADER: Final = "the first row must name the columns; if it does not, list them under file: header"
"""What to do where the names of a file's columns do not look like names."""

# What names of columns, sheets and records are made of, in English, German, French and Spanish. No word that is also a
# person's name, or a value: `Anna`, `Sales` and `Berlin` are none.
_WORDS: Final = """
account accountenabled accountname action active activestatus added addr address addressline age allowance amount
area assignment associate attribute badge band base begin billing birth birthdate birthday biz body bonus branch bu
budget building business calendar callname category cell cellular center centre change changed channel city class
code column comment comments common company contact contract contractor correspondence cost count country
countryregion county create created creation currency custom customer data dataset date day days default deleted
department dept description designation desk detail details direct directory display distribution division domain
email emp empl emplid employee employees employer employment end entity entries entry event eventtype exit ext
extension external family fax feed field fields file first flag floor footer forename format formatted fte full
function gender given global grade group groups headcount header hidden hire hired holiday home hour hours hr id
identifier ids import in index info initials internal is iso item items job join joining key kind known knownas
label language last leave leaver leavers left legal level license limit line list local locale locality location log
login mail management manager managers marital meta middle mobile modified month name national nationality network
nick nickname no note notes nr num number numbers object of office on only order org organisation organization
organizational origin original owner page parent password pay payroll people period pernr person personal personnel
persons phone place plan position post postal postcode preferred prefix primary principal private profile project
province reason record records removed ref reference region remark remarks report reports request result results role
room root row rows salutation sam samaccountname schedule second secondary section sector service sex sheet shift short
site social source staff stamp start state status street sub subject suffix supervisor supervisory surname system
table tag target tax team tel telephone term terminated termination test text time timestamp timezone title to total
town trailer type unit until up update updated upn uri url user username users valid value values vendor version
weekday weekly wid work worker workers working year zip zone

abt abteilung abteilungs adresse akademischer aktiv alter angestellte anmelde anrede anschrift anstellungs anzeige
arbeit arbeitgeber arbeitnehmer arbeitstag arbeitszeit art austritt austritts beginn bemerkung benutzer bereich
beruf berufs beschaftigung beschaftigungs bezeichnung blatt buchungskreis bundesland buro datei daten datum der des
dienst dienstlich dienstliche einheit einstellung einstellungs eintritt eintritts email ende fachbereich familien
familienname firma firmen fuhrungskraft funktion geburt geburts geschaftlich geschaftliche geschaftliches geschafts
geschlecht gesellschaft handy haus hausnr hausnummer ist kennung kennzeichen konto korrespondenz kostenstelle
kostenstellen kreis kst kurzel kurzzeichen land lander landes leiter letzter manr mitarbeiter mitarbeiterart
mitarbeiterkreis mitarbeitertyp mobil mobilnummer monat nach nachname namens namenszusatz nr nummer organisations
ort persnr personal personalnr personen plz pnr positions postleitzahl raum rufname schlussel sparte spitzname
sprache stadt stand standort stelle stellen strasse tabelle tag tatigkeit telefax telefon titel tochtergesellschaft
typ und unternehmen vertrag vertrags voller vollstandiger von vor vorgesetzte vorgesetzten vorgesetzter vorname
vornamen wohnort zeit zeitzone zu zuname zusatz zweiter

actif adressemail affichage affiche arrivee branche bureau centre civilite codepostal commune connexion contrat
courriel cout couts cp d de debut depart departement deuxieme direction du electronique embauche emploi employe
entite entree entreprise et etat famille feuille fin fixe fonction fuseau gsm hierarchique horaire identifiant
intitule langue legale libelle localite matricule metier mobile naissance nature nom nombre nomcomplet nomet numero
pays portable poste pour prenom prenomet prenoms pro professionnel professionnelle raison responsable rue salaire
salarie sexe sociale societe sortie statut superieur surnom telecopie telephone titre usage usuel utilisateur ville
voie

activo alta apellido apellidos apodo autonoma baja calle cargo celular centro ciudad civil codigo compania completo
comunidad contratacion contrato corporativo correo coste costes costos cumpleanos del departamento direccion directo
domicilio electronico empleado empresa estado fecha genero grupo hoja hora horaria idioma ingreso inicio jefe
laboral legajo localidad matricula mostrar movil municipio nacimiento negocio nombres ocupacion oficina pais para
persona pila poblacion postal primer provincia puesto razon salida segundo situacion sociedad superior telefono tipo
titulo trabajador trabajo tratamiento unidad usuario y zona
"""
_USUAL: Final = frozenset(_WORDS.split())

_MANY_DIGITS: Final = re.compile(r"(?:\d\D{0,2}){3}")
"""As in a phone number, a date or an identifier."""
_LIKELY: Final = re.compile(r"[\w .:/()'’&#%*+\[\]?|!°-]+")


def plain(text: str) -> str:
    """Without case, diacritics and anything that is neither letter nor digit."""
    folded = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in folded if char.isalnum())


def is_usual(name: str) -> bool:
    """Whether the name is made of words that columns, sheets and records are usually called by, as `WorkerID2` is."""
    if len(name) > LONGEST or not name.isprintable():
        return False
    whole = plain(name)
    text = whole.rstrip("0123456789")
    ends = {0}
    for end in range(1, len(text) + 1):
        if any(text[start:end] in _USUAL for start in ends):
            ends.add(end)
    return bool(text) and len(text) in ends and len(whole) - len(text) <= min(2, len(text))


def shown(columns: Sequence[str], known: Collection[str], *, nested: bool = False) -> tuple[str, ...]:
    """For each column of a file its name where a message may have it, else "".

    `known` are the columns that the feed file names: these are always shown. Where a file has half of them, its header
    row is one, and whatever looks like a name is shown. Elsewhere only usual names are, and only where they are half of
    all: `Manager` alone may be a person's title. `nested` is for paths into records, whose keys may be people: of more
    steps than one, each must be usual or known.
    """
    same = {plain(name) for name in known} - {""}
    steps = {plain(step) for name in known for step in _steps(name)}
    found = {plain(column) for column in columns} & same
    named = [column for column in columns if column]
    is_header = 2 * len(found) >= len(same) and any(not name.isdigit() for name in found)
    usual = is_header or (not any(map(_is_data, named)) and 2 * sum(map(is_usual, named)) >= len(named))

    def judge(column: str) -> bool:
        if not column or column in known:
            return bool(column)
        if len(column) > LONGEST or not column.isprintable():
            return False
        if plain(column) in same:
            return True
        path = _steps(column) if nested else [column]
        if is_header and len(path) == 1 and looks_like_a_name(column):
            return True
        return usual and all(is_usual(step) or plain(step) in steps or _is_place(step) for step in path)

    return tuple(column if judge(column) else "" for column in columns)


def labels(columns: Sequence[str], known: Collection[str]) -> tuple[str, ...]:
    """For each column what a message may call it: its name, or `column 3` (counted from 1)."""
    names = shown(columns, known)
    return tuple(name or f"column {place}" for place, name in enumerate(names, start=1))


def _steps(path: str) -> list[str]:
    return [step.rpartition(":")[2].lstrip("@") for step in re.split("[./]", path) if step]


def _is_place(step: str) -> bool:
    """Whether it is that of an item in a list; with more digits it may be a person's number."""
    return len(step) <= 2 and step.isdigit()


def _is_data(text: str) -> bool:
    return "@" in text or not any(map(str.isalpha, text)) or bool(_MANY_DIGITS.search(text))


def looks_like_a_name(text: str) -> bool:
    """Whether a text in a header row can be a column's name: no mail address, no number, no date, no sentence."""
    letters, digits = sum(map(str.isalpha, text)), sum(map(str.isdigit, text))
    return (
        len(text) <= LONGEST
        and text.isprintable()
        and bool(_LIKELY.fullmatch(text))
        and digits <= min(4, max(2, letters))
        and letters > 0
    )
