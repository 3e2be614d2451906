from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.mapping.dotnet.dates import STANDARD, FormatError, Moment, Styles, Zone, date_format, date_styles
from connector.mapping.expressions.plain_dates import read_date, write_date

from .evaluated import fault, refusal, value

MOMENT = Moment(wall=datetime(2009, 6, 5, 13, 4, 7, 617542), tick=5, zone=Zone.UTC)  # noqa: DTZ001  # as .NET keeps it

WRITTEN = [
    ("y yy yyy yyyy yyyyy", "9 09 2009 2009 02009"),
    ("M MM MMM MMMM", "6 06 Jun June"),
    ("d dd ddd dddd", "5 05 Fri Friday"),
    ("H HH h hh", "13 13 1 01"),
    ("m mm s ss", "4 04 7 07"),
    ("f ff fff ffff fffff ffffff fffffff", "6 61 617 6175 61754 617542 6175425"),
    ("F FF ss.FFF", "6 61 07.617"),
    ("t tt", "P PM"),
    ("z zz zzz K", "+0 +00 +00:00 Z"),
    ("yyyy-MM-ddTHH:mm:ssZ", "2009-06-05T13:04:07Z"),
    ("'yyyy' \"MM\" \\d dd", "yyyy MM d 05"),
    ("'it\\'s' d.", "it's 5."),
    ("%d", "5"),
    ("%h", "1"),
    ("h%m", "14"),
    ("d/M/yyyy g", "5/6/2009 A.D."),
    ("d", "06/05/2009"),
    ("D", "Friday, 05 June 2009"),
    ("o", "2009-06-05T13:04:07.6175425Z"),
    ("s", "2009-06-05T13:04:07"),
    ("u", "2009-06-05 13:04:07Z"),
    ("R", "Fri, 05 Jun 2009 13:04:07 GMT"),
    ("M", "June 05"),
    ("Y", "2009 June"),
    ("t", "13:04"),
]


@pytest.mark.parametrize(("form", "expected"), WRITTEN)
def test_a_format_writes_what_dotnet_writes(form: str, expected: str) -> None:
    assert date_format(form).format(MOMENT) == expected


def test_an_empty_fraction_takes_its_full_stop_along() -> None:
    whole = Moment(wall=datetime(2009, 6, 5, 13, 4, 7))  # noqa: DTZ001  # as .NET keeps it
    assert date_format("ss.FFF").format(whole) == "07"
    assert date_format("ss.fff").format(whole) == "07.000"


READ = [
    ("yyyy-MM-dd", "2009-06-05", "2009-06-05 00:00:00"),
    ("yyyyMMdd", "20090605", "2009-06-05 00:00:00"),
    ("d.M.yyyy", "5.6.2009", "2009-06-05 00:00:00"),
    ("d.M.yyyy", "05.06.2009", "2009-06-05 00:00:00"),
    ("dMMMyyyy", "05jun2009", "2009-06-05 00:00:00"),
    ("d MMMM yyyy", "5 JUNE 2009", "2009-06-05 00:00:00"),
    ("dddd, d MMM yyyy", "Friday, 5 Jun 2009", "2009-06-05 00:00:00"),
    ("yy-MM-dd", "49-01-01", "2049-01-01 00:00:00"),
    ("yy-MM-dd", "50-01-01", "1950-01-01 00:00:00"),
    ("yyyy", "2009", "2009-01-01 00:00:00"),
    ("M/d/yyyy h:mm:ss tt", "6/5/2009 12:00:00 AM", "2009-06-05 00:00:00"),
    ("M/d/yyyy h:mm:ss tt", "6/5/2009 12:00:00 pm", "2009-06-05 12:00:00"),
    ("yyyy-MM-dd h t", "2009-06-05 1 P", "2009-06-05 13:00:00"),
    ("yyyy-MM-dd hh:mm", "2009-06-05 12:30", "2009-06-05 00:30:00"),
    ("yyyy-MM-dd HH:mm tt", "2009-06-05 13:30 PM", "2009-06-05 13:30:00"),
    ("yyyy-MM-ddTHH:mm:ss.fffffff", "2009-06-05T01:02:03.1234567", "2009-06-05 01:02:03.123456"),
    ("yyyy-MM-ddTHH:mm:ss.FFF", "2009-06-05T01:02:03", "2009-06-05 01:02:03"),
    ("yyyy-MM-ddTHH:mm:ss.FFF", "2009-06-05T01:02:03.5", "2009-06-05 01:02:03.500000"),
    ("yyyy-MM-ddzzz", "2009-06-05-07:00", "2009-06-05 07:00:00"),
    ("yyyy-MM-ddzzz", "2009-06-05+0800", "2009-06-04 16:00:00"),
    ("yyyy-MM-ddzz", "2009-06-05+08", "2009-06-04 16:00:00"),
    ("yyyy-MM-dd z", "2009-06-05 -8", "2009-06-05 08:00:00"),
    ("yyyy-MM-ddTHH:mm:ssK", "2009-06-05T01:02:03Z", "2009-06-05 01:02:03"),
    ("yyyy-MM-ddTHH:mm:ssK", "2009-06-05T01:02:03+01:00", "2009-06-05 00:02:03"),
    ("yyyy-MM-ddTHH:mm:ssK", "2009-06-05T01:02:03", "2009-06-05 01:02:03"),
    ("yyyyMMddHHmmssZ", "20090605010203GMT", "2009-06-05 01:02:03"),
    ("yyyy-MM-dd", "  2009-06-05\t", "2009-06-05 00:00:00"),
    ("yyyy.MM.dd yyyy", "2009.06.05 2009", "2009-06-05 00:00:00"),
    ("r", "Fri, 05 Jun 2009 13:04:07 GMT", "2009-06-05 13:04:07"),
]


@pytest.mark.parametrize(("form", "source", "expected"), READ)
def test_a_format_reads_what_dotnet_reads(form: str, source: str, expected: str) -> None:
    moment = date_format(form).parse(source)
    assert moment is not None
    assert str(moment.wall) == expected


UNREADABLE = [
    ("yyyy-MM-dd", "2009-6-5"),
    ("yyyy-MM-dd", "2009-06-05x"),
    ("yyyy-MM-dd", "2009-02-29"),
    ("yyyy-MM-dd", "2009-13-01"),
    ("yyyy-MM-dd", "٢٠٠٩-06-05"),
    ("yyyy-MM-dd", "2009-06-05T00:00:00"),
    ("yyyy-MM-dd HH:mm", "2009-06-05 24:00"),
    ("yyyy-MM-dd hh:mm", "2009-06-05 13:00"),
    ("yyyy-MM-dd HH:mm tt", "2009-06-05 13:30 AM"),
    ("dddd yyyy-MM-dd", "Monday 2009-06-05"),
    ("yyyy-MM-ddzzz", "2009-06-05"),
    ("yyyy-MM-ddzzz", "2009-06-05Z"),
    ("yyyy-MM-ddzzz", "2009-06-05+15:00"),
    ("yyyy-MM-ddzzz", "2009-06-05+01:60"),
    ("yyyy-MM-dd.fff", "2009-06-05.12"),
    ("dM yyyy", "11 2009"),
    ("yyyy yyyy-MM-dd", "2008 2009-06-05"),
    ("'T'yyyy", "t2009"),
    ("yyyy-MM-ddzzz", "0001-01-01+08:00"),
]


@pytest.mark.parametrize(("form", "source"), UNREADABLE)
def test_reading_is_strict(form: str, source: str) -> None:
    assert date_format(form).parse(source) is None


@pytest.mark.parametrize(
    ("form", "offset", "message"),
    [
        ("", 0, "the date format is empty"),
        ("q", 0, "a format of the single letter 'q' does not exist in .NET; write %q"),
        ("yyyy 'x", 5, "the quoted text in the date format has no end"),
        ("yyyy%", 4, "% must stand before one format letter"),
        ("%%d", 0, "% must stand before one format letter"),
        ("yyyy\\", 4, "nothing follows the backslash"),
        ("ffffffff", 0, "a fraction of a second has at most seven digits"),
    ],
)
def test_a_format_that_dotnet_refuses_is_refused(form: str, offset: int, message: str) -> None:
    with pytest.raises(FormatError) as raised:
        date_format(form)
    assert (raised.value.offset, raised.value.message) == (offset, message)


@given(
    st.datetimes(),
    st.sampled_from(["o", "yyyy-MM-dd HH:mm:ss.ffffff", "dddd, d MMMM yyyy h:m:s.ffffff tt", "yyyyMMddHHmmssffffff"]),
)
def test_what_a_format_writes_it_reads(wall: datetime, form: str) -> None:
    moment = Moment(wall=wall)
    assert date_format(form).parse(date_format(form).format(moment)) == moment


@given(st.text(), st.text(max_size=12))
def test_no_format_and_no_date_raise_anything_else(form: str, source: str) -> None:
    read_date(source)
    try:
        compiled = date_format(form)
    except FormatError:
        return
    compiled.parse(source, Styles.ALLOW_INNER_WHITE)
    compiled.format(MOMENT)


def test_every_standard_format_can_be_compiled() -> None:
    assert [len(date_format(name).tokens) > 0 for name in STANDARD] == [True] * len(STANDARD)


def test_styles_are_dotnets() -> None:
    assert date_styles("None") == Styles.NONE
    assert date_styles("DateTimeStyles.AssumeUniversal, AdjustToUniversal") == (
        Styles.ASSUME_UNIVERSAL | Styles.ADJUST_TO_UNIVERSAL
    )
    strict = 'FormatDateTime([d], "None", "yyyy-MM-dd", "yyyy")'
    assert value(strict, d="2024-01-01") == "2024"
    assert (
        str(fault(strict, d=" 2024-01-01")) == "FormatDateTime: 'source' ([d]) does not have the date format yyyy-MM-dd"
    )
    spaced = 'FormatDateTime([d], "AllowWhiteSpaces", "d.M.yyyy", "yyyy-MM-dd")'
    assert value(spaced, d=" 1 . 2. 2024 ") == "2024-02-01"
    for styles, expected in (("", ""), ("AssumeUniversal", "+00:00"), ("AssumeLocal, AdjustToUniversal", "Z")):
        assert value(f'FormatDateTime([d], "{styles}", "yyyy", "yyyyK")', d="2024") == f"2024{expected}"


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ('FormatDateTime([d], "Foo", "yyyy", "yyyy")', 20, "'Foo' is not one of .NET's DateTimeStyles"),
        (
            'FormatDateTime([d], "AssumeLocal, AssumeUniversal", "yyyy", "yyyy")',
            20,
            "AssumeLocal and AssumeUniversal exclude each other",
        ),
        (
            'FormatDateTime([d], , "yyyy-q\'", "yyyy")',
            29,
            "the date format is not valid: the quoted text in the date format has no end",
        ),
        (
            'FormatDateTime([d], , "MM-dd", "yyyy")',
            31,
            "the output asks for the year, which the input format does not hold",
        ),
        (
            'FormatDateTime([d], , "MM-dd", "ddd")',
            31,
            "the output asks for the weekday, which the input format does not hold",
        ),
        (
            'FormatDateTime([d], , "HH:mm", "dd HH")',
            31,
            "the output asks for the day, which the input format does not hold",
        ),
    ],
)
def test_format_date_time_is_checked_when_the_feed_is_loaded(text: str, position: int, message: str) -> None:
    assert refusal(text)[:2] == (position, message)


def test_a_time_or_a_day_of_the_year_can_be_rewritten_without_a_year() -> None:
    assert value('FormatDateTime([d], , "h:mm tt", "HH:mm")', d="10:30 PM") == "22:30"
    assert value('FormatDateTime([d], , "d MMM", "MM-dd")', d="29 Feb") == "02-29"


def test_formats_may_come_from_the_row() -> None:
    text = "FormatDateTime([d], , [in], [out])"
    assert value(text, d="2024-02-01", **{"in": "yyyy-MM-dd", "out": "d.M.yy"}) == "1.2.24"
    assert str(fault(text, d="2024-02-01", **{"in": "q", "out": "d.M.yy"})) == (
        "FormatDateTime: 'inputFormat' ([in]) or the output format cannot be used: a format of the single letter 'q'"
        " does not exist in .NET; write %q"
    )


def test_a_date_that_is_missing_stays_missing() -> None:
    for text in (
        'FormatDateTime([d], , "yyyy", "yyyy")', "CDate([d])", 'DateAdd("d", 1, [d])', 'DateDiff("d", Now(), [d])',
        "NumFromDate([d])", "DateFromNum([d])",
    ):  # fmt: skip
        assert [value(text, d=empty) for empty in ("", None)] == [None, None]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("2020-03-16", "3/16/2020 12:00:00 AM"),
        ("2020-3-6", "3/6/2020 12:00:00 AM"),
        ("2020-03-16T23:59:59.1234567Z", "3/16/2020 11:59:59 PM"),
        ("2020-03-16 23:59:59-08:00", "3/17/2020 7:59:59 AM"),
        ("3/16/2020", "3/16/2020 12:00:00 AM"),
        ("12/31/2020 12:00:00 AM", "12/31/2020 12:00:00 AM"),
        ("2020/03/16", "3/16/2020 12:00:00 AM"),
        ("16 Mar 2020", "3/16/2020 12:00:00 AM"),
        ("16-MAR-2020", "3/16/2020 12:00:00 AM"),
        ("Monday, March 16, 2020 1:02 pm", "3/16/2020 1:02:00 PM"),
        ("Mon, 16 Mar 2020 13:04:07 GMT", "3/16/2020 1:04:07 PM"),
        (" 2020-03-16 ", "3/16/2020 12:00:00 AM"),
    ],
)
def test_cdate_reads_common_forms_as_utc(source: str, expected: str) -> None:
    assert value("CDate([d])", d=source) == expected


@pytest.mark.parametrize(
    "source",
    [
        "16.03.2020",
        "31/12/2020",
        "20200316",
        "12:30",
        "2020-02-30",
        "Tue, 16 Mar 2020",
        "2020-03-16T25:00:00",
        "13:00 PM",
    ],
)
def test_cdate_never_guesses(source: str) -> None:
    assert fault("CDate([d])", d=source).columns == ("d",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('DateAdd("m", 1, "2024-01-31")', "2/29/2024 12:00:00 AM"),
        ('DateAdd("m", -2, "2024-01-31")', "11/30/2023 12:00:00 AM"),
        ('DateAdd("yyyy", -1, "2024-02-29")', "2/28/2023 12:00:00 AM"),
        ('DateAdd("h", 25, "2024-02-28")', "2/29/2024 1:00:00 AM"),
        ('DateAdd("n", -1, "2024-01-01")', "12/31/2023 11:59:00 PM"),
        ('DateAdd("s", 61, "2024-01-01")', "1/1/2024 12:01:01 AM"),
        ('DateDiff("yyyy", "2023-12-31", "2024-01-01")', "1"),
        ('DateDiff("m", "2024-01-31", "2024-02-01")', "1"),
        ('DateDiff("ww", "2024-11-23", "2024-11-24")', "1"),
        ('DateDiff("ww", "2024-11-24", "2024-11-30")', "0"),
        ('DateDiff("ww", "2024-11-24", "2024-11-23")', "-1"),
        ('DateDiff("d", "2024-01-01T23:00:00", "2024-01-02T22:59:59")', "0"),
        ('DateDiff("d", "2024-01-02T23:00:00", "2024-01-01T22:59:59")', "-1"),
        ('DateDiff("h", "2024-01-01T00:30:00", "2024-01-01T02:29:59")', "1"),
        ("DateFromNum(0)", "1/1/1601 12:00:00 AM"),
        ('NumFromDate("1601-01-01T00:00:00.0000001Z")', "1"),
    ],
)
def test_dates_are_counted_as_vb_net_counts(text: str, expected: str) -> None:
    assert value(text) == expected


@given(st.datetimes(min_value=datetime(1601, 1, 1)))  # noqa: DTZ001  # wall time in UTC
def test_file_times_lead_back_to_their_second(wall: datetime) -> None:
    written = write_date(wall)
    assert value("DateFromNum(NumFromDate([d]))", d=written) == written


@given(st.integers(-9999, 9999), st.datetimes(datetime(1000, 1, 1), datetime(3000, 1, 1)))  # noqa: DTZ001  # wall time
def test_date_diff_undoes_date_add(days: int, wall: datetime) -> None:
    moved = value('DateAdd("d", [n], [d])', n=str(days), d=write_date(wall))
    assert moved == write_date(wall + timedelta(days=days))
    assert value('DateDiff("d", [d], [e])', d=write_date(wall), e=moved) == str(days)
