"""The worked examples of the page "Reference for writing expressions for attribute mappings" that have a meaning here.

Each is an expression, the row, and what the page says comes out.
"""

Value = str | list[str] | None
Row = dict[str, Value]
Example = tuple[str, Row, Value]

_SWITCHES: list[Example] = [
    (
        'Switch([Active], ,\n  "1", IIF(DateDiff("d", Now(), CDate([StatusHireDate])) > 5, "False", "True"),\n'
        '  "0", "False")',
        {"Active": active, "StatusHireDate": hired},
        expected,
    )
    # The tests' landing time is 2021-08-25 17:41:18 UTC.
    for active, hired, expected in (
        ("1", "2021-08-31-07:00", "True"),
        ("1", "2021-09-01-07:00", "False"),
        ("0", "2021-08-31-07:00", "False"),
        ("2", "2021-08-31-07:00", None),
    )
]

EXAMPLES: list[Example] = [
    (
        'Append([userPrincipalName], ".test")',
        {"userPrincipalName": "John.Doe@contoso.com"},
        "John.Doe@contoso.com.test",
    ),
    ("BitAnd(&HF, &HF7)", {}, "7"),
    ("CBool([attribute1] = [attribute2])", {"attribute1": "same", "attribute2": "same"}, "True"),
    ("CBool([attribute1] = [attribute2])", {"attribute1": "one", "attribute2": "other"}, "False"),
    ("CDate([StatusHireDate])", {"StatusHireDate": "2020-03-16-07:00"}, "3/16/2020 7:00:00 AM"),
    ('CDate("2021-06-30+08:00")', {}, "6/29/2021 4:00:00 PM"),
    ('CDate("2009-06-15T01:45:30-07:00")', {}, "6/15/2009 8:45:30 AM"),
    (
        "Coalesce([mail],[userPrincipalName])",
        {"mail": None, "userPrincipalName": "John.Doe@contoso.com"},
        "John.Doe@contoso.com",
    ),
    ('ConvertToBase64("Hello world!")', {}, "SABlAGwAbABvACAAdwBvAHIAbABkACEA"),
    ('ConvertToUTF8Hex("Hello world!")', {}, "48656C6C6F20776F726C6421"),
    ("CStr([dn])", {"dn": "cn=Joe,dc=contoso,dc=com"}, "cn=Joe,dc=contoso,dc=com"),
    ('DateAdd("d", 7, CDate([StatusHireDate]))', {"StatusHireDate": "2012-03-16-07:00"}, "3/23/2012 7:00:00 AM"),
    ('DateAdd("d", -10, CDate([StatusHireDate]))', {"StatusHireDate": "2012-03-16-07:00"}, "3/6/2012 7:00:00 AM"),
    ('DateAdd("ww", 2, CDate([StatusHireDate]))', {"StatusHireDate": "2012-03-16-07:00"}, "3/30/2012 7:00:00 AM"),
    ('DateAdd("m", 10, CDate([StatusHireDate]))', {"StatusHireDate": "2012-03-16-07:00"}, "1/16/2013 7:00:00 AM"),
    ('DateAdd("yyyy", 2, CDate([StatusHireDate]))', {"StatusHireDate": "2012-03-16-07:00"}, "3/16/2014 7:00:00 AM"),
    ('DateDiff("d", CDate([a]), CDate([b]))', {"a": "2021-08-18+08:00", "b": "2021-08-31+08:00"}, "13"),
    ('DateDiff("d", CDate([a]), CDate([b]))', {"a": "8/25/2021 5:41:18 PM", "b": "2012-03-16-07:00"}, "-3449"),
    ('DateDiff("ww", CDate([a]), CDate([b]))', {"a": "8/25/2021 5:41:18 PM", "b": "2012-03-16-07:00"}, "-493"),
    ('DateDiff("m", CDate([a]), CDate([b]))', {"a": "8/25/2021 5:41:18 PM", "b": "2012-03-16-07:00"}, "-113"),
    ('DateDiff("yyyy", CDate([a]), CDate([b]))', {"a": "8/25/2021 5:41:18 PM", "b": "2012-03-16-07:00"}, "-9"),
    ('DateDiff("d", CDate([a]), CDate([b]))', {"a": "2021-08-31+08:00", "b": "2021-08-31+08:00"}, "0"),
    ('DateDiff("h", CDate([a]), CDate([b]))', {"a": "2021-08-24", "b": "2021-08-25"}, "24"),
    ('DateDiff("n", CDate([a]), CDate([b]))', {"a": "2021-08-24", "b": "2021-08-25"}, "1440"),
    ('DateDiff("s", CDate([a]), CDate([b]))', {"a": "2021-08-24", "b": "2021-08-25"}, "86400"),
    *_SWITCHES,
    ("DateFromNum(129699324000000000)", {}, "1/1/2012 11:00:00 PM"),
    ("DateFromNum([lastLogonTimestamp])", {"lastLogonTimestamp": "129699324000000000"}, "1/1/2012 11:00:00 PM"),
    (
        'FormatDateTime([extensionAttribute1], , "yyyyMMddHHmmss.fZ", "yyyy-MM-dd")',
        {"extensionAttribute1": "20150123105347.1Z"},
        "2015-01-23",
    ),
    ("IgnoreFlowIfNullOrEmpty([department])", {"department": "Sales"}, "Sales"),
    (
        'IgnoreFlowIfNullOrEmpty(Switch([prefix], "", "3443", "Dr.", "3444", "Prof.", "3445", "Prof. Dr."))',
        {"prefix": "3445"},
        "Prof. Dr.",
    ),
    ('IIF([country]="USA",[country],[department])', {"country": "USA", "department": "Sales"}, "USA"),
    ('IIF([country]="USA",[country],[department])', {"country": "UK", "department": "Sales"}, "Sales"),
    ('IIF([country]="USA",IIF([state]="CA","True","False"),"False")', {"country": "USA", "state": "CA"}, "True"),
    ('IIF([country]="USA",IIF([state]="CA","True","False"),"False")', {"country": "USA", "state": "NY"}, "False"),
    ('IIF([country]="USA","True",IIF([state]="CA","True","False"))', {"country": "UK", "state": "CA"}, "True"),
    ('IIF([country]="USA","True",IIF([state]="CA","True","False"))', {"country": "UK", "state": "NY"}, "False"),
    # The page lists these three as unsupported by Entra; here they mean what their author meant.
    ('IIF([country]="","Other",[country])', {"country": ""}, "Other"),
    ('IIF(IsNullOrEmpty([country]),"Other",[country])', {"country": None}, "Other"),
    ('IIF(IsPresent([country]),[country],"Other")', {"country": "UK"}, "UK"),
    ('Switch([country],[country],"","Other")', {"country": ""}, "Other"),
    ('Switch([country],[country],"","Other")', {"country": "UK"}, "UK"),
    ('InStr("The quick brown fox","quick")', {}, "5"),
    ('InStr("repEated","e",3,vbBinaryCompare)', {}, "7"),
    ("IsNull([displayName])", {"displayName": None}, "True"),
    ("IsNullOrEmpty([displayName])", {"displayName": ""}, "True"),
    (
        "Switch(IsPresent([directManager]),[directManager], IsPresent([skiplevelManager]),[skiplevelManager],"
        " IsPresent([director]),[director])",
        {"directManager": "", "skiplevelManager": "S", "director": ""},
        "",
    ),
    (
        "Switch(IsPresent([directManager]),[directManager], IsPresent([skiplevelManager]),[skiplevelManager],"
        " IsPresent([director]),[director])",
        {"directManager": "M", "skiplevelManager": "", "director": ""},
        "M",
    ),
    (
        "Item([proxyAddresses], 1)",
        {"proxyAddresses": ["SMTP:a@b.com", "smtp:b@b.com"]},
        "SMTP:a@b.com",
    ),
    ('Left("John Doe", 3)', {}, "Joh"),
    ("NormalizeDiacritics([givenName])", {"givenName": "Zoë"}, "Zoe"),
    ("Now()", {}, "8/25/2021 5:41:18 PM"),
    (
        'NumFromDate(Join("", FormatDateTime([ContractEndDate], ,"yyyy-MM-ddzzz", "yyyy-MM-dd"), " 23:59:59-08:00"))',
        {"ContractEndDate": "2020-12-31-08:00"},
        # 2021-01-01T07:59:59Z
        "132539615990000000",
    ),
    (
        'NumFromDate(Join("",FormatDateTime([endDate], ,"M/d/yyyy hh:mm:ss tt","yyyy-MM-dd")," 23:59:59-08:00"))',
        {"endDate": "12/31/2020 12:00:00 AM"},
        "132539615990000000",
    ),
    ("PCase([firstName])", {"firstName": "PABLO GONSALVES (SECOND)"}, "Pablo Gonsalves (Second)"),
    ('PCase([lastName]," \'-")', {"lastName": "PINTO-DE'SILVA"}, "Pinto-De'Silva"),
    ('PCase(Join(" ",[firstName],[lastName]))', {"firstName": "GREGORY", "lastName": "JAMES"}, "Gregory James"),
    ("Redact([userPrincipalName])", {"userPrincipalName": "John.Doe@contoso.com"}, "John.Doe@contoso.com"),
    ('Redact("StringToBeRedacted")', {}, "StringToBeRedacted"),
    ("RemoveDuplicates([proxyAddresses])", {"proxyAddresses": ["a", "b", "a"]}, ["a", "b"]),
    (
        'Replace([BusinessTitle],"Product Developer", , , "Software Engineer", , )',
        {"BusinessTitle": "Product Developer"},
        "Software Engineer",
    ),
    ('Replace([UserID],"<username>", , , , , "<username>@contoso.com")', {"UserID": "jsmith"}, "jsmith@contoso.com"),
    (
        'Replace([telephoneNumber], , "\\\\+(?<isdCode>\\\\d* )(?<phoneNumber>\\\\d{10})", , "${phoneNumber}", , )',
        {"telephoneNumber": "+91 9998887777"},
        "9998887777",
    ),
    ('Replace([mobile], , "[()\\\\s-]+", , "", , )', {"mobile": "1 (999) 888-7777"}, "19998887777"),
    (
        'Replace([AddressLineData], ,"(?<streetNumber>^\\\\d*)","streetNumber", "888", , )',
        {"AddressLineData": "545 Tremont Street"},
        "888 Tremont Street",
    ),
    (
        'Replace([userPrincipalName], , "(?<Suffix>@(.)*)", "Suffix", "", , )',
        {"userPrincipalName": "jsmith@contoso.com"},
        "jsmith",
    ),
    (
        'Replace([telephoneNumber], , "\\\\+(?<isdCode>\\\\d* )(?<phoneNumber>\\\\d{10})", "phoneNumber" , ,'
        " [mobile], )",
        {"telephoneNumber": "", "mobile": "+91 8887779999"},
        "8887779999",
    ),
    ('Replace([mailNickname], , "[a-zA-Z_]*", , "", , )', {"mailNickname": "john_doe72"}, "72"),
    (
        'Split([extensionAttribute5], ",")',
        {"extensionAttribute5": "PermissionSetOne, PermissionSetTwo"},
        ["PermissionSetOne", "PermissionSetTwo"],
    ),
    ('Switch(ToLower([statusFlag]), "0", "true", "1", "false", "0")', {"statusFlag": "TRUE"}, "1"),
    ('Switch([statusFlag], "Default Value", "true", "1", "", "0")', {"statusFlag": ""}, "0"),
    (
        'IIF([companyName] = "Company A", "A", IIF([companyName] = "Company B", "B", "External"))',
        {"companyName": "Company B"},
        "B",
    ),
    (
        'Switch([state], "Australia/Sydney", "NSW", "Australia/Sydney","QLD", "Australia/Brisbane", "SA",'
        ' "Australia/Adelaide")',
        {"state": "QLD"},
        "Australia/Brisbane",
    ),
    (
        'ToLower(Join("@", NormalizeDiacritics(StripSpaces(Join(".",  [PreferredFirstName], [PreferredLastName]))),'
        ' "contoso.com"))',
        {"PreferredFirstName": "John", "PreferredLastName": "Smith"},
        "john.smith@contoso.com",
    ),
    # SelectUniqueValue's three rules, each on its own.
    (
        'Join("@", NormalizeDiacritics(StripSpaces(Join(".",  Mid([PreferredFirstName], 1, 1), [PreferredLastName]))),'
        ' "contoso.com")',
        {"PreferredFirstName": "John", "PreferredLastName": "Smith"},
        "J.Smith@contoso.com",
    ),
    (
        'Join("@", NormalizeDiacritics(StripSpaces(Join(".",  Mid([PreferredFirstName], 1, 2), [PreferredLastName]))),'
        ' "contoso.com")',
        {"PreferredFirstName": "John", "PreferredLastName": "Smith"},
        "Jo.Smith@contoso.com",
    ),
    ('Word("The quick brown fox",3," ")', {}, "brown"),
    ('Word("This,string!has&many separators",3,",!&#")', {}, "has"),
    ('Replace([mail], "@contoso.com", , ,"", ,)', {"mail": "john.doe@contoso.com"}, "john.doe"),
    ("Append(Mid([givenName], 1, 3), Mid([surname], 1, 5))", {"givenName": "John", "surname": "Doe"}, "JohDoe"),
    ('Join(", ", "", [surname], [givenName])', {"givenName": "John", "surname": "Doe"}, "Doe, John"),
    # The page's input and output do not belong together ("00" is 3030 in hexadecimal): this is the output of its rule.
    (
        'Join("", 1000, Replace(ConvertToUTF8Hex([objectId]), , "[a-zA-Z_]*", , "", , ))',
        {"objectId": "00aa-bb"},
        "10003030616126262",
    ),
]

DEPARTURES: list[tuple[str, Row, str, str]] = [
    # The page's output has lost the plus sign, which is not among the characters of its pattern.
    ('Replace([mobile], , "[()\\\\s-]+", , "", , )', {"mobile": "+1 (999) 888-7777"}, "+19998887777", "19998887777"),
]
"""Expression, row, what comes out here, what the page says."""
