from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.mapping.dotnet.dates import STANDARD, FormatError, Moment, Styles, Zone, date_format, date_styles
from connector.mapping.expressions.date_functions import now_text
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
    ("yyyyXMM 'q' Z'x' H\\Zm", "2009X06 q Zx 13Z4"),
    ("yyyyyyyy dddddddd MMMMMMMM", "00002009 Friday June"),
    ("hhh HHH mmm sss ttt zzzz gg", "01 13 04 07 PM +00:00 A.D."),
    ("%d", "5"),
    ("%h", "1"),
    ("h%m", "14"),
    ("d/M/yyyy g", "5/6/2009 A.D."),
    ("d", "06/05/2009"),
    ("D", "Friday, 05 June 2009"),
    ("f", "Friday, 05 June 2009 13:04"),
    ("F", "Friday, 05 June 2009 13:04:07"),
    ("g", "06/05/2009 13:04"),
    ("G", "06/05/2009 13:04:07"),
    ("m", "June 05"),
    ("M", "June 05"),
    ("o", "2009-06-05T13:04:07.6175425Z"),
    ("O", "2009-06-05T13:04:07.6175425Z"),
    ("r", "Fri, 05 Jun 2009 13:04:07 GMT"),
    ("R", "Fri, 05 Jun 2009 13:04:07 GMT"),
    ("s", "2009-06-05T13:04:07"),
    ("t", "13:04"),
    ("T", "13:04:07"),
    ("u", "2009-06-05 13:04:07Z"),
    ("U", "Friday, 05 June 2009 13:04:07"),
    ("y", "2009 June"),
    ("Y", "2009 June"),
]


@pytest.mark.parametrize(("form", "expected"), WRITTEN)
def test_a_format_writes_what_dotnet_writes(form: str, expected: str) -> None:
    assert date_format(form).format(MOMENT) == expected


MONTHS = [
    "Jan January", "Feb February", "Mar March", "Apr April", "May May", "Jun June", "Jul July", "Aug August",
    "Sep September", "Oct October", "Nov November", "Dec December",
]  # fmt: skip
WEEKDAYS = ["Mon Monday", "Tue Tuesday", "Wed Wednesday", "Thu Thursday", "Fri Friday", "Sat Saturday", "Sun Sunday"]


def test_months_and_weekdays_have_their_english_names() -> None:
    months = [datetime(2018, number, number) for number in range(1, 13)]  # noqa: DTZ001  # as .NET keeps it
    # 1 January 2018 was a Monday.
    weekdays = [datetime(2018, 1, number) for number in range(1, 8)]  # noqa: DTZ001  # as above
    for names, form, walls in (
        (MONTHS, date_format("yyyy-MM-dd MMM MMMM"), months),
        (WEEKDAYS, date_format("yyyy-MM-dd ddd dddd"), weekdays),
    ):
        written = [f"{wall:%Y-%m-%d} {name}" for wall, name in zip(walls, names, strict=True)]
        assert [form.format(Moment(wall=wall)) for wall in walls] == written
        assert [form.parse(text) for text in written] == [Moment(wall=wall) for wall in walls]
        assert [form.parse(text.upper()) for text in written] == [Moment(wall=wall) for wall in walls]


@pytest.mark.parametrize(
    ("hour", "expected"),
    [(0, "12 12 0 00 A AM"), (1, "1 01 1 01 A AM"), (11, "11 11 11 11 A AM"), (12, "12 12 12 12 P PM"),
     (13, "1 01 13 13 P PM"), (23, "11 11 23 23 P PM")],
)  # fmt: skip
def test_hours_are_written_by_the_clock_of_12_and_of_24(hour: int, expected: str) -> None:
    wall = datetime(2009, 12, 25, hour, 3, 8)  # noqa: DTZ001  # as .NET keeps it
    assert date_format("h hh H HH t tt").format(Moment(wall=wall)) == expected
    assert date_format("M MM d dd m mm s ss").format(Moment(wall=wall)) == "12 12 25 25 3 03 8 08"


@pytest.mark.parametrize(
    ("form", "microsecond", "expected"),
    [
        ("ss.FFF", 0, "07"),
        ("ss.fff", 0, "07.000"),
        ("ss.FFF", 50_000, "07.05"),
        ("ss.FFFFFFF", 100, "07.0001"),
        ("yyyy-MM-dd HH:mm:ss.FFF", 0, "2009-06-05 13:04:07"),
        ("ss:FFF", 0, "07:"),
        ("ss'a.'FFF", 0, "07a"),
        ("ss'.a'FFF", 0, "07.a"),
        ("ss.K", 0, "07."),
        ("FFss", 0, "07"),
        ("FFss", 500_000, "507"),
        ("ss.F.F", 0, "07"),
    ],
)
def test_an_empty_fraction_takes_its_full_stop_along(form: str, microsecond: int, expected: str) -> None:
    wall = datetime(2009, 6, 5, 13, 4, 7, microsecond)  # noqa: DTZ001  # as .NET keeps it
    assert date_format(form).format(Moment(wall=wall)) == expected


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
    ("y-M-d", "9-6-5", "2009-06-05 00:00:00"),
    ("yyy-MM-dd", "999-12-31", "0999-12-31 00:00:00"),
    ("yyyyy-MM-dd", "02009-06-05", "2009-06-05 00:00:00"),
    ("yyyy-MM-dd HHHmmmsss", "2009-06-05 130407", "2009-06-05 13:04:07"),
    ("yyyy-MM-dd HH:mm tt", "2009-06-05 12:30 PM", "2009-06-05 12:30:00"),
    ("yyyy-MM-dd HH:mm tt", "2009-06-05 11:59 AM", "2009-06-05 11:59:00"),
    ("yyyy-MM-dd hh:mm tt", "2009-06-05 12:30 PM", "2009-06-05 12:30:00"),
    ("yyyy-MM-dd tt", "2009-06-05 AM", "2009-06-05 00:00:00"),
    ("yyyy g", "2009 A.D.", "2009-01-01 00:00:00"),
    ("yyyy gg", "2009 ad", "2009-01-01 00:00:00"),
    ("yyyy-MM-dd HHzzz", "2009-06-05 00-07:30", "2009-06-05 07:30:00"),
    ("yyyy-MM-dd HHzzz", "2009-06-05 00+05:45", "2009-06-04 18:15:00"),
    ("yyyy-MM-dd HHzzz", "2009-06-05 00+13:59", "2009-06-04 10:01:00"),
    ("yyyy-MM-dd HHzzz", "2009-06-05 00+14:00", "2009-06-04 10:00:00"),
    ("yyyy-MM-dd HHzzz", "2009-06-05 00-14:00", "2009-06-05 14:00:00"),
    ("yyyy-MM-dd ss:FFF", "2009-06-05 03:", "2009-06-05 00:00:03"),
    ("yyyy-MM-dd ss:FFF", "2009-06-05 03:5", "2009-06-05 00:00:03.500000"),
    ("ss.FF yyyy", "07 2009", "2009-01-01 00:00:07"),
    ("yyyy-MM-dd ss.FFF", "2009-06-05 03.", "2009-06-05 00:00:03"),
    ("yyyy.MM.dd ss.F", "2009.06.05 03", "2009-06-05 00:00:03"),
    ("yyyyXMM", "2009X06", "2009-06-01 00:00:00"),
    ("yyyy\\'MM", "2009'06", "2009-06-01 00:00:00"),
    ("yyyy 'it\\'s' MM", "2009 it's 06", "2009-06-01 00:00:00"),
]


@pytest.mark.parametrize(("form", "source", "expected"), READ)
def test_a_format_reads_what_dotnet_reads(form: str, source: str, expected: str) -> None:
    moment = date_format(form).parse(source)
    assert moment is not None
    assert str(moment.wall) == expected


def test_a_date_is_read_to_100_nanoseconds() -> None:
    wall = datetime(2009, 6, 5, 1, 2, 3, 123456)  # noqa: DTZ001  # as .NET keeps it
    for form, source, tick in (
        ("o", "2009-06-05T01:02:03.1234567", 7),
        ("yyyy-MM-ddTHH:mm:ss.FFFFFFF", "2009-06-05T01:02:03.1234569", 9),
        ("yyyy-MM-ddTHH:mm:ss.ffffff", "2009-06-05T01:02:03.123456", 0),
    ):
        assert date_format(form).parse(source) == Moment(wall=wall, tick=tick)


def test_a_year_alone_is_its_first_day() -> None:
    assert value('FormatDateTime([d], , "yyyy", "ddd yyyy-MM-dd")', d="2009") == "Thu 2009-01-01"


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
    ("yyyy-MM-dd h t", "2009-06-05 1 p"),
    ("yyyy-MM-dd HH:mm tt", "2009-06-05 12:30 AM"),
    ("yyyy-MM-dd HH:mm tt", "2009-06-05 11:59 PM"),
    ("yyyy-MM-dd tt", "2009-06-05 PM"),
    ("yyyy-MM-dd HHzzz", "2009-06-05 00+14:01"),
    ("yyyy-MM-dd HHzzz", "2009-06-05 00-14:01"),
    ("yyyy-MM-dd ss.FFF", "2009-06-05 03:5"),
    ("yyyy-MM-dd ss:FFF", "2009-06-05 03"),
    ("yyyy-MM-dd HHHmm", "2009-06-05 1304x"),
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
        ("yyyy 'x\\", 5, "the quoted text in the date format has no end"),
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


@pytest.mark.parametrize(
    ("styles", "taken"),
    [
        ("None", []),
        ("NoCurrentDateDefault", []),
        ("AllowLeadingWhite", ["before"]),
        ("AllowTrailingWhite", ["after"]),
        ("AllowInnerWhite", ["before", "after", "within"]),
        ("allowLeadingWhite ,DateTimeStyles.AllowTrailingWhite", ["before", "after"]),
        ("AllowWhiteSpaces", ["before", "after", "within"]),
        ("", ["before", "after"]),
    ],
)
def test_white_space_is_taken_where_the_styles_say(styles: str, taken: list[str]) -> None:
    text = f'FormatDateTime([d], "{styles}", "d.M.yyyy", "yyyy-MM-dd")'
    assert value(text, d="1.2.2024") == "2024-02-01"
    sources = {"before": " \t1.2.2024", "after": "1.2.2024 \n", "within": "1 . 2.\t2024"}
    for place, source in sources.items():
        if place in taken:
            assert value(text, d=source) == "2024-02-01"
        else:
            assert fault(text, d=source).reason == "does not have the date format d.M.yyyy"


@pytest.mark.parametrize("names", ["Foo", "AssumeLocal,AssumeUniversal", "RoundtripKind,AssumeLocal"])
def test_styles_that_dotnet_refuses_are_refused(names: str) -> None:
    with pytest.raises(FormatError) as raised:
        date_styles(names)
    assert (raised.value.offset, str(raised.value)) == (0, raised.value.message)


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
    ("styles", "form", "source", "expected"),
    [
        ("", "yyyy-MM-dd HH:mmK", "2009-06-05 13:04", "13:04"),
        ("", "yyyy-MM-dd HH:mmK", "2009-06-05 13:04Z", "13:04Z"),
        ("", "yyyy-MM-dd HH:mmK", "2009-06-05 13:04+00:00", "13:04+00:00"),
        ("", "yyyy-MM-dd HH:mmK", "2009-06-05 13:04+01:00", "12:04+00:00"),
        ("None", "yyyy-MM-dd HH:mmK", "2009-06-05 13:04Z", "13:04+00:00"),
        ("AdjustToUniversal", "yyyy-MM-dd HH:mmK", "2009-06-05 13:04+01:00", "12:04Z"),
        ("AdjustToUniversal", "yyyy-MM-dd HH:mm", "2009-06-05 13:04", "13:04"),
        ("AssumeUniversal", "yyyy-MM-dd HH:mmK", "2009-06-05 13:04Z", "13:04+00:00"),
        ("AssumeUniversal, AdjustToUniversal", "yyyy-MM-dd HH:mm", "2009-06-05 13:04", "13:04Z"),
        ("", "R", "Fri, 05 Jun 2009 13:04:07 GMT", "13:04"),
        ("", "u", "2009-06-05 13:04:07Z", "13:04"),
        ("", "U", "Friday, 05 June 2009 13:04:07", "13:04Z"),
        ("None", "U", "Friday, 05 June 2009 13:04:07", "13:04+00:00"),
        ("", "F", "Friday, 05 June 2009 13:04:07", "13:04"),
        ("", "yyyy g HH:mm", "2009 A.D. 13:04", "13:04"),
    ],
)
def test_what_is_known_of_the_zone_of_a_date_that_was_read(styles: str, form: str, source: str, expected: str) -> None:
    assert value(f'FormatDateTime([d], "{styles}", "{form}", "HH:mmK")', d=source) == expected


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ('FormatDateTime([d], "Foo", "yyyy", "yyyy")', 20, "'Foo' is not one of .NET's DateTimeStyles"),
        (
            'FormatDateTime([d], "AssumeLocal, AssumeUniversal", "yyyy", "yyyy")',
            20,
            "AssumeLocal and AssumeUniversal exclude each other",
        ),
        *(
            (
                f'FormatDateTime([d], "RoundtripKind, {other}", "yyyy", "yyyy")',
                20,
                "RoundtripKind excludes AssumeLocal, AssumeUniversal and AdjustToUniversal",
            )
            for other in ("AssumeLocal", "AssumeUniversal", "AdjustToUniversal")
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
        (
            'FormatDateTime([d], , "HH:mm", "MM-dd HH")',
            31,
            "the output asks for the day, which the input format does not hold",
        ),
        (
            'FormatDateTime([d], , "dddd d MMM", "dddd")',
            36,
            "the output asks for the year, which the input format does not hold",
        ),
    ],
)
def test_format_date_time_is_checked_when_the_feed_is_loaded(text: str, position: int, message: str) -> None:
    assert refusal(text)[:2] == (position, message)


def test_a_time_or_a_day_of_the_year_can_be_rewritten_without_a_year() -> None:
    assert value('FormatDateTime([d], , "h:mm tt", "HH:mm")', d="10:30 PM") == "22:30"
    assert value('FormatDateTime([d], , "d MMM", "MM-dd")', d="29 Feb") == "02-29"


def test_without_a_year_a_weekday_is_not_held_against_the_date() -> None:
    days = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    text = 'FormatDateTime([d], , "ddd d MMM", "MM-dd")'
    assert [value(text, d=f"{day} 5 Jun") for day in days] == ["06-05"] * 7


def test_formats_may_come_from_the_row() -> None:
    text = "FormatDateTime([d], , [in], [out])"
    assert value(text, d="2024-02-01", **{"in": "yyyy-MM-dd", "out": "d.M.yy"}) == "1.2.24"


def test_a_format_that_comes_from_the_row_is_not_told() -> None:
    text = "FormatDateTime([d], , [in], [out])"
    assert str(fault(text, d="2024-02-01", **{"in": "q", "out": "d.M.yy"})) == (
        "FormatDateTime: 'inputFormat' ([in]) or the output format cannot be used"
    )
    assert str(fault(text, d="2024-02-01", **{"in": "'Ng' dd.MM.yyyy", "out": "d.M.yy"})) == (
        "FormatDateTime: 'source' ([d]) does not have the date format that inputFormat gives"
    )
    assert str(fault('FormatDateTime([d], , "yyyy", [out])', d="2024", out="'Ng")) == (
        "FormatDateTime: 'inputFormat' or the output format cannot be used"
    )


def test_a_date_of_spaces_alone_is_missing() -> None:
    for text in ('FormatDateTime([d], , "yyyy", "yyyy")', "CDate([d])", 'DateAdd("d", 1, [d])', "NumFromDate([d])"):
        assert value(text, d=" \t") is None


def test_styles_hold_for_formats_from_the_row_too() -> None:
    text = 'FormatDateTime([d], "AllowInnerWhite", [in], [out])'
    assert value(text, d="1 . 2.2024", **{"in": "d.M.yyyy", "out": "yyyy-MM-dd"}) == "2024-02-01"


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
        ("2020-03-16T11:59:59", "3/16/2020 11:59:59 AM"),
        ("2020-03-16T12:00:00", "3/16/2020 12:00:00 PM"),
        ("3/16/2020 12:00 am", "3/16/2020 12:00:00 AM"),
        ("3/16/2020 12:30 Pm", "3/16/2020 12:30:00 PM"),
        ("3/16/2020 1:30 pM", "3/16/2020 1:30:00 PM"),
        ("2020-03-16T00:00:00.5", "3/16/2020 12:00:00 AM"),
        ("2020-03-16 00:00+14:00", "3/15/2020 10:00:00 AM"),
        ("2020-03-16 00:00 -1400", "3/16/2020 2:00:00 PM"),
        ("2020-03-16 00:00 UTC", "3/16/2020 12:00:00 AM"),
        ("5 May 2020", "5/5/2020 12:00:00 AM"),
        ("Thursday, 31 December 2020", "12/31/2020 12:00:00 AM"),
    ],
)
def test_cdate_reads_common_forms_as_utc(source: str, expected: str) -> None:
    assert value("CDate([d])", d=source) == expected


def test_a_date_is_read_without_a_format_to_100_nanoseconds() -> None:
    wall = datetime(2020, 3, 16, 23, 59, 59, 123456)  # noqa: DTZ001  # as .NET keeps it
    for source, tick in (("2020-03-16T23:59:59.1234567Z", 7), ("2020-03-16 11:59:59.123456 PM", 0)):
        assert read_date(source) == Moment(wall=wall, tick=tick, zone=Zone.UTC)
    half = datetime(2020, 3, 16, 0, 0, 0, 500_000)  # noqa: DTZ001  # as .NET keeps it
    assert read_date("2020-03-16T00:00:00.5") == Moment(wall=half, zone=Zone.UTC)


def test_now_is_the_landing_time_in_utc() -> None:
    landed = datetime(2026, 11, 24, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    assert now_text(landed) == "11/23/2026 11:30:00 PM"


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
        "3/16/2020 13:00 PM",
        "3/16/2020 0:30 AM",
        "2020-03-16x",
        "2020-03-16 00:00+14:01",
        "2020-03-16 00:00-01:60",
        "2020-03-16 00:60",
        "0000-01-01",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
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
        ('DateDiff("ww", "2024-11-23T00:00:01", "2024-11-24T00:00:00")', "0"),
        ('DateDiff("ww", "2024-11-23T00:00:00", "2024-11-24T00:00:01")', "1"),
        ('DateDiff("ww", "2024-02-29", "2023-12-31T23:59:59")', "-7"),
        ('DateDiff("ww", "2024-02-29", "2000-03-01T12:30:15")', "-1251"),
        ('DateDiff("d", "2024-01-01T23:00:00", "2024-01-02T22:59:59")', "0"),
        ('DateDiff("d", "2024-01-02T23:00:00", "2024-01-01T22:59:59")', "-1"),
        ('DateDiff("h", "2024-01-01T00:30:00", "2024-01-01T02:29:59")', "1"),
        ('DateDiff("s", "2024-01-01T00:00:00.0000001", "2024-01-01T00:00:01")', "0"),
        ('DateDiff("s", "2024-01-01T00:00:00.0000001", "2024-01-01T00:00:01.0000001")', "1"),
        ('DateDiff("s", "2024-01-01T00:00:01.0000001", "2024-01-01T00:00:00")', "-1"),
        ('DateDiff("s", "2024-01-01T00:00:00", "2024-01-01T00:00:00.9999999")', "0"),
        ('DateDiff("s", "0001-01-01", "9999-12-31T23:59:59")', "315537897599"),
        ('DateDiff("n", "2024-01-01T00:00:30", "2024-01-01T00:02:29")', "1"),
        ('DateDiff("ww", "0001-01-01", "9999-12-31")', "521722"),
        ('DateAdd("d", -1, "0001-01-02")', "1/1/0001 12:00:00 AM"),
        ('DateAdd("m", 1, "9999-11-30")', "12/30/9999 12:00:00 AM"),
        ('DateAdd("m", -12, "0002-01-31")', "1/31/0001 12:00:00 AM"),
        ('DateAdd("ww", 2, "2024-02-20")', "3/5/2024 12:00:00 AM"),
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
