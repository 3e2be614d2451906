"""What HR systems call the columns of their exports, in English, German, French and Spanish, and their status words.

Names are compared without case, diacritics and punctuation: `Straße / Hausnr.` is `strassehausnr`. Among them are
those of Workday's reports, SAP SuccessFactors' User Data File (`EMPID`, `BIZ_PHONE`), SAP HCM (`PERNR`), Personio,
DATEV, ADP, BambooHR and CSV2SCIM's sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from connector.vocabulary.column_names import plain
from connector.vocabulary.scim import ENTERPRISE_USER

CUSTOM: Final = "urn:ietf:params:scim:schemas:extension:hr:1.0:User"
"""A URN for dates that SCIM's own schemas have no attribute for; the provisioning app must declare them."""

EXTERNAL_ID: Final = "externalId"
USER_NAME: Final = "userName"
ACTIVE: Final = "active"
GIVEN: Final = "name.givenName"
FAMILY: Final = "name.familyName"
DISPLAY: Final = "displayName"
MAIL: Final = 'emails[type eq "work"].value'
REGION: Final = 'addresses[type eq "work"].region'
STREET: Final = 'addresses[type eq "work"].streetAddress'
MANAGER: Final = f"{ENTERPRISE_USER}:manager.value"
HIRED: Final = f"{CUSTOM}:HireDate"
LEFT: Final = f"{CUSTOM}:LeaveDate"

# The likelier name of an attribute stands before the less likely one: where a file has both, the first is taken.
_NAMES: Final[dict[str, str]] = {
    EXTERNAL_ID: """
        externalid workerid employeeid employeenumber employeeno empid empno emplid employeecode personidexternal
        personid
        personnumber personnelnumber employeenum personnelno personno staffid staffnumber staffno associateid
        payrollnumber payrollid
        pernr workdayid wid
        personalnummer personalnr persnr pnr mitarbeiternummer mitarbeiternr mitarbeiterid manr personalid
        matricule matriculesalarie numeromatricule idsalarie numerosalarie codesalarie identifiantsalarie
        numeroemploye
        idemploye
        idempleado numeroempleado numerodeempleado nempleado noempleado codigoempleado codigodeempleado legajo
        matricula
        idtrabajador numerodetrabajador codigotrabajador
    """,
    USER_NAME: """
        userprincipalname upn username userid loginname login loginid samaccountname accountname networkid
        benutzername anmeldename benutzerkennung benutzerid kennung
        nomutilisateur nomdutilisateur identifiantutilisateur identifiantconnexion
        usuario nombreusuario nombredeusuario idusuario
    """,
    ACTIVE: """
        workerstatus employeestatus employmentstatus empstatus emplstatus hrstatus status active isactive activestatus
        accountstatus statuscode state
        mitarbeiterstatus beschaftigungsstatus personalstatus aktiv istaktiv
        statut statutsalarie statutemploye statutdusalarie actif etat
        estado estadoempleado estadodelempleado estadolaboral situacion situacionlaboral activo
    """,
    DISPLAY: """
        displayname fullname preferredname employeename workername legalname formattedname name
        anzeigename vollername vollstandigername mitarbeitername
        nomcomplet nomaffichage nomaffiche nometprenom prenometnom
        nombrecompleto nombreparamostrar nombreyapellidos apellidosynombre
    """,
    GIVEN: """
        firstname givenname forename legalfirstname preferredfirstname first vorname prenom prenomusuel
        nombre nombres nombredepila primernombre
    """,
    FAMILY: """
        lastname surname familyname legallastname preferredlastname last
        nachname familienname zuname
        nom nomdefamille nomusuel nomusage nomdusage
        apellidos apellido primerapellido
    """,
    "name.middleName": "middlename middle legalmiddlename zweitervorname deuxiemeprenom segundonombre",
    "name.honorificPrefix": "prefix salutation anrede titel akademischertitel namenszusatz civilite tratamiento",
    "nickName": "nickname knownas callname rufname spitzname surnom apodo",
    "title": """
        jobtitle businesstitle positiontitle title position jobname jobposition job designation
        stellenbezeichnung positionsbezeichnung stelle funktion berufsbezeichnung tatigkeit beruf
        intituleposte intituleduposte intituledeposte poste fonction emploi libelleemploi metier
        puesto puestodetrabajo nombredelpuesto cargo titulo ocupacion
    """,
    "userType": """
        workertype employeetype employmenttype emptype contracttype employeeclass persontype workersubtype
        mitarbeitertyp mitarbeiterart mitarbeiterkreis beschaftigungsart anstellungsart vertragsart
        typecontrat typedecontrat typesalarie typedesalarie naturecontrat
        tipodecontrato tipocontrato tipoempleado tipodeempleado
    """,
    "preferredLanguage": """
        preferredlanguage language correspondencelanguage languagecode sprache korrespondenzsprache langue idioma
    """,
    "locale": "locale defaultlocale",
    "timezone": "timezone zeitzone fuseauhoraire zonahoraria",
    MAIL: """
        workemail emailwork primaryworkemail businessemail emailbusiness companyemail officeemail email emailaddress
        mail
        mailaddress workemailaddress emailid
        emailadresse emaildienstlich dienstlicheemail dienstlicheemailadresse emailgeschaftlich geschaftlicheemail
        firmenemail
        emailprofessionnel mailprofessionnel adressemailprofessionnelle emailpro mailpro courriel
        courrielprofessionnel
        adressemail adresseemail adresseelectronique
        correocorporativo emailcorporativo correoempresa emailempresa correo correoelectronico
    """,
    'phoneNumbers[type eq "work"].value': """
        workphone bizphone officephone businessphone phonework primaryworkphone deskphone phone phonenumber telephone
        telephonenumber worktelephone workphonenumber
        diensttelefon telefondienstlich telefongeschaftlich geschaftlichestelefon burotelefon telefon telefonnummer
        tel
        telephoneprofessionnel telephonebureau telephonefixe numerodetelephone
        telefonotrabajo telefonooficina telefonocorporativo telefono numerodetelefono
    """,
    'phoneNumbers[type eq "mobile"].value': """
        workmobile mobilephone mobile mobilenumber businessmobile cellphone cell cellularphone
        diensthandy mobiltelefon mobilnummer handynummer handy mobil
        telephoneportable telephonemobile portable portableprofessionnel gsm
        telefonomovil movil movilempresa celular
    """,
    'phoneNumbers[type eq "fax"].value': "fax faxnumber workfax faxnummer telefax telecopie",
    STREET: """
        workstreet workaddress streetaddress workaddressline1 addressline1 address1 addr1 street address
        strasse strassehausnummer strassehausnr strasseundhausnummer strasseundnr anschrift
        adresse adresse1 rue voie numeroetvoie
        direccion domicilio calle calleynumero
    """,
    'addresses[type eq "work"].locality': """
        workcity city town locality ort stadt ville localite commune ciudad localidad poblacion municipio
    """,
    REGION: "workstate state stateprovince province region statecode bundesland provincia comunidadautonoma",
    'addresses[type eq "work"].postalCode': """
        workpostalcode postalcode zipcode zip postcode plz postleitzahl codepostal cp codigopostal
    """,
    'addresses[type eq "work"].country': """
        workcountry countrycode countryisocode country countryregion landercode landercodeiso landerkennzeichen land
        codepays pays codigopais pais
    """,
    f"{ENTERPRISE_USER}:costCenter": """
        costcenter costcentre costcentername costcentercode costcenterid costcenternumber costcentrecode
        kostenstelle kostenstellennummer kst kostenstellenr
        centredecout centredecouts centrecout codecentredecout
        centrodecoste centrodecostes centrodecostos centrocoste
    """,
    f"{ENTERPRISE_USER}:organization": """
        company companyname subcompany organization organisation legalentity legalentityname employer companycode
        gesellschaft tochtergesellschaft firma unternehmen arbeitgeber buchungskreis
        societe entreprise raisonsociale entitelegale
        empresa sociedad compania razonsocial
    """,
    f"{ENTERPRISE_USER}:division": """
        division divisionname businessunit businessunitname
        geschaftsbereich bereich sparte
        direction branche
        unidaddenegocio
    """,
    f"{ENTERPRISE_USER}:department": """
        department departmentname dept deptname departmentdescription supervisoryorganization orgunit
        organizationalunit
        team
        abteilung abteilungsname abteilungsbezeichnung abt organisationseinheit fachbereich
        departement service
        departamento area nombredepartamento
    """,
    MANAGER: """
        managerid managersemployeeid manageremployeeid manageremployeenumber managerpersonid managernumber
        managersid managerexternalid
        manageruserid supervisorid supervisornumber linemanagerid reportstoid reportsto managerworkerid manager
        supervisor
        linemanager
        vorgesetzterid vorgesetztenid vorgesetztennummer personalnummervorgesetzter vorgesetzterpersonalnummer
        personalnummerdesvorgesetzten fuhrungskraftid vorgesetzter vorgesetzte fuhrungskraft
        matriculemanager matriculeresponsable matriculen1 idmanager responsablehierarchique
        superieurhierarchique responsable
        idjefe jefeid idsupervisor idresponsable codigojefe legajojefe jefe jefedirecto superior
    """,
    HIRED: """
        hiredate startdate originalhiredate dateofhire dateofjoining joiningdate joindate employmentstartdate
        entrydate
        firstday firstdayofwork
        eintrittsdatum eintritt einstellungsdatum beschaftigungsbeginn dienstbeginn
        dateembauche datedembauche dateentree datedentree datearrivee datedebutcontrat
        fechadealta fechaalta fechaingreso fechadeingreso fechacontratacion fechadecontratacion fechainicio
        fechadeinicio
    """,
    LEFT: """
        terminationdate leavedate lastday lastdayofwork lastworkingday employmentenddate enddate exitdate
        austrittsdatum austritt beschaftigungsende letzterarbeitstag
        datesortie datedesortie datedepart datededepart datefincontrat
        fechadebaja fechabaja fechafin fechadesalida
    """,
}

NAMES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {path: tuple(names.split()) for path, names in _NAMES.items()}
)
"""Attribute path to the plain names of its columns, the likeliest first; the paths are in the order of a feed file."""

CERTAIN_STATUS: Final = frozenset(NAMES[ACTIVE]) - frozenset(["state", "status", "etat", "estado", "situacion"])
"""Columns that say who works here whatever their words are; a `State` may be Texas."""

# A word that means "employed, and away" in one house and "has left" in another (baja, gekündigt) is in neither list.
_AT_WORK: Final = """
active,aktiv,actif,active employee,active worker,activo,activa,employed,working,at work,on leave,leave,paid leave,
unpaid leave,leave of absence,maternity leave,parental leave,vacation,true,yes,y,ja,oui,si,a,1,
beschäftigt,angestellt,in elternzeit,elternzeit,mutterschutz,im mutterschutz,beurlaubt,krank,
en poste,en activité,présent,employé,en congé,congé parental,congé maternité,
alta,de alta,empleado,en activo,trabajando,de vacaciones,excedencia
"""
_GONE: Final = """
inactive,inaktiv,inactif,inactivo,inactiva,terminated,left,leaver,resigned,retired,deceased,dismissed,former,
former employee,ex-employee,withdrawn,false,no,n,nein,non,i,t,0,
ausgeschieden,ausgetreten,ehemalig,verstorben,im ruhestand,rentner,pensioniert,
sorti,parti,licencié,retraité,décédé,
cesado,despedido,jubilado,retirado,fallecido,ex empleado
"""


def _words(text: str) -> frozenset[str]:
    return frozenset(plain(word) for word in " ".join(text.split()).split(","))


STATUS: Final[Mapping[str, bool]] = MappingProxyType(
    {**dict.fromkeys(_words(_AT_WORK), True), **dict.fromkeys(_words(_GONE), False)}
)
"""Plain status word to whether the person works here."""


def candidates(column: str) -> dict[str, int]:
    """The attributes that a column of this name may be, each with its rank among their names (0 is the best).

    Of a nested column (`job.title`, `wd:Worker/wd:Employee_ID`) the last part counts where the whole says nothing.
    """
    last = column.replace("/", ".").rsplit(".", 1)[-1].rsplit(":", 1)[-1]
    for name in dict.fromkeys((plain(column), plain(last))):
        found = {path: names.index(name) for path, names in NAMES.items() if name in names}
        if found:
            return found
    return {}
